/**
 * retryAfterMs reads how long a server asks to wait, in milliseconds: `retry-after-ms` first, which is
 * exact, as OpenAI's SDK does, then `retry-after`, in seconds or as a date. A time that is over is 0.
 *
 * @returns undefined when the server does not say.
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
