import type { RedisClient } from '../redis/connection.ts';

/** The upstream's list of models says that a model is not in it. */
export const GONE = 'gone';

const DAY_MS = 86_400_000;

/**
 * What the upstream's list of models says of those that are configured: a hash, by the upstream's name. A day (`YYYY-MM-DD`) on which it is shut down, or `gone`; nothing:
 * no day is announced, or there is no such list. Its keys share a slot.
 */
export function catalogKey(prefix: string): string {
  return `${prefix}:{catalog}`;
}

export async function readCatalog(redis: RedisClient, prefix: string): Promise<ReadonlyMap<string, string>> {
  return new Map(Object.entries(await redis.hgetall(catalogKey(prefix))));
}

/** The day on which a model is shut down; undefined: none is known. */
export function shutdownDateIn(
  catalog: ReadonlyMap<string, string>,
  upstreamModel: string,
): string | undefined {
  const said = catalog.get(upstreamModel);
  return said === GONE ? undefined : said;
}

/** The beginning of that day, in milliseconds. */
export function shutdownTime(date: string): number {
  return Date.parse(`${date}T00:00:00Z`);
}

/** Whether the whole day is over: nobody says at what hour of it, and a model that is still there should be used. */
export function isPast(date: string, now: number): boolean {
  return now >= shutdownTime(date) + DAY_MS;
}

/** Days until then, a begun one counts; 0 or less: the day has come. */
export function daysUntil(date: string, now: number): number {
  // Not -0, which some writers of numbers show.
  return Math.ceil((shutdownTime(date) - now) / DAY_MS) || 0;
}
