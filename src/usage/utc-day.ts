const DAY_MS = 86_400_000;

/** utcDay returns the UTC day as `YYYY-MM-DD`, which sorts by time. */
export function utcDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

/** daysBetween returns the days from one to another, both included, earliest first. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY_MS) days.push(utcDay(at));
  return days;
}

/** daysBefore returns the day that is `count` days before another. */
export function daysBefore(day: string, count: number): string {
  return utcDay(Date.parse(day) - count * DAY_MS);
}

/** isUtcDay returns whether a text is a day of the calendar: `2026-02-30` is not. */
export function isUtcDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = Date.parse(text);
  return !Number.isNaN(at) && utcDay(at) === text;
}

/** nextUtcDay returns the next midnight UTC, in Unix milliseconds. */
export function nextUtcDay(milliseconds: number): number {
  return new Date(milliseconds).setUTCHours(24, 0, 0, 0);
}
