import type { RedisClient } from '../redis/connection.ts';

/** GONE is the entry of a model that the upstream's list of models does not contain. */
export const GONE = 'gone';

const DAY_MS = 86_400_000;

/**
 * catalogKey names the hash of what the upstream's list of models says about the configured models, by
 * upstream model: the day of its shutdown (`YYYY-MM-DD`), or `gone`. A model has no entry when no day is
 * announced, or when the upstream publishes no list. All keys that begin with this one share a slot.
 */
export function catalogKey(prefix: string): string {
  return `${prefix}:{catalog}`;
}

/** readCatalog returns the entries of the catalog by upstream model. */
export async function readCatalog(redis: RedisClient, prefix: string): Promise<ReadonlyMap<string, string>> {
  return new Map(Object.entries(await redis.hgetall(catalogKey(prefix))));
}

/** shutdownDateIn returns the day on which a model is shut down; undefined: unknown. */
export function shutdownDateIn(
  catalog: ReadonlyMap<string, string>,
  upstreamModel: string,
): string | undefined {
  const entry = catalog.get(upstreamModel);
  return entry === GONE ? undefined : entry;
}

/** shutdownTime returns the beginning of a day, in Unix milliseconds. */
export function shutdownTime(date: string): number {
  return Date.parse(`${date}T00:00:00Z`);
}

/**
 * isPast returns whether the whole day is over. The upstream announces no hour, and a model should be used
 * until the end of that day.
 */
export function isPast(date: string, now: number): boolean {
  return now >= shutdownTime(date) + DAY_MS;
}

/**
 * daysUntil returns how many days remain until a date, the current day included; 0 or less: the date has
 * come.
 */
export function daysUntil(date: string, now: number): number {
  // Adding 0 turns -0 into 0. Some formatters print -0.
  return Math.ceil((shutdownTime(date) - now) / DAY_MS) || 0;
}
