const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A duration as OpenAI's `x-ratelimit-reset-*` headers write it, which is Go's: `120ms`, `1.2s`, `6m0s`, `1h0m0s`. Rounded up to a millisecond. */
export function goDuration(milliseconds: number): string {
  const whole = Math.max(0, Math.ceil(milliseconds));
  if (whole === 0) return '0s';
  if (whole < SECOND) return `${whole}ms`;
  const hours = Math.floor(whole / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  const seconds = `${(whole % MINUTE) / SECOND}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
