const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** numberText writes a number with its thousands separated: `1,234`. */
export function numberText(value: number): string {
  return value.toLocaleString('en-US');
}

/** countText writes a number of things: `1 line`, `1,234 lines`. */
export function countText(count: number, noun: string, plural = `${noun}s`): string {
  return `${numberText(count)} ${count === 1 ? noun : plural}`;
}

/** durationText writes a duration in at most two units: `0.4s`, `12s`, `3m 04s`, `1h 02m`, `2d 03h`. */
export function durationText(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < 9950) return `${(ms / SECOND_MS).toFixed(1)}s`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)}s`;
  if (ms < HOUR_MS) return twoUnits(ms, MINUTE_MS, 'm', SECOND_MS, 's');
  if (ms < DAY_MS) return twoUnits(ms, HOUR_MS, 'h', MINUTE_MS, 'm');
  return twoUnits(ms, DAY_MS, 'd', HOUR_MS, 'h');
}

/** distanceText writes how far a time is from now: `12s ago`, `in 3m 04s`. */
export function distanceText(time: string, now: number): string {
  const distanceMs = now - Date.parse(time);
  return distanceMs >= 0 ? `${durationText(distanceMs)} ago` : `in ${durationText(-distanceMs)}`;
}

/**
 * latenessText writes how much later than needed the answer of a job is, or was: `12m 00s late`; '' when it
 * is not late, or no time was said.
 */
export function latenessText(job: { needed_by: string | null; finished_at?: string }, now: number): string {
  if (job.needed_by === null) return '';
  const at = job.finished_at === undefined ? now : Date.parse(job.finished_at);
  const lateMs = at - Date.parse(job.needed_by);
  return lateMs > 0 ? `${durationText(lateMs)} late` : '';
}

function twoUnits(ms: number, largeMs: number, large: string, smallMs: number, small: string): string {
  const rest = Math.floor((ms % largeMs) / smallMs);
  return `${Math.floor(ms / largeMs)}${large} ${String(rest).padStart(2, '0')}${small}`;
}
