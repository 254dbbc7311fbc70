/**
 * retryAfterMs returns how long a server asks to wait, in milliseconds. It reads `retry-after-ms` first, as
 * OpenAI's SDK does, because it is exact; then `retry-after`, in seconds or as a date. A date in the past is
 * 0.
 *
 * @returns undefined when the server names no time.
 */
export function retryAfterMs(headers: Headers | undefined): number | undefined {
  const milliseconds = Number.parseFloat(headers?.get('retry-after-ms') ?? '');
  if (Number.isFinite(milliseconds)) return Math.max(0, milliseconds);
  const retryAfter = headers?.get('retry-after') ?? '';
  const seconds = Number(retryAfter);
  if (retryAfter !== '' && Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
