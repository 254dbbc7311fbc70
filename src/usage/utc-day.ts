const DAY_MS = 86_400_000;

/** `YYYY-MM-DD`, whose order is that of time. */
export function utcDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

/** The days from one to another, both included, earliest first. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY_MS) days.push(utcDay(at));
  return days;
}

/** The day so many days before another. */
export function daysBefore(day: string, count: number): string {
  return utcDay(Date.parse(day) - count * DAY_MS);
}

/** Whether a text is a day that there is: `2026-02-30` is not. */
export function isUtcDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = Date.parse(text);
  return !Number.isNaN(at) && utcDay(at) === text;
}

/** When the next one begins, in Unix milliseconds. */
export function nextUtcDay(milliseconds: number): number {
  return new Date(milliseconds).setUTCHours(24, 0, 0, 0);
}
