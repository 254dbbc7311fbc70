import type { RedisClient } from '../redis/connection.ts';

/** How many entries of an index one ZSCAN looks at, which keeps Redis busy for less than a millisecond. */
const SCANNED_AT_ONCE = 2000;
/** With this our own ids begin. A part of an id may leave it out. */
const PREFIX = 'job_';

/**
 * findIdsByPart finds ids in an index by their beginning or their end. Redis walks the whole index in short
 * steps, unless enough ids are found first: about half a second for a million jobs.
 *
 * @param key an index of jobs.
 * @param most after how many ids it stops.
 */
export async function findIdsByPart(
  redis: RedisClient,
  key: string,
  part: string,
  most: number,
): Promise<string[]> {
  const pattern = `*${part.replace(/[\\*?[\]^]/g, '\\$&')}*`;
  // ZSCAN may return an entry twice.
  const found = new Set<string>();
  let cursor = '0';
  do {
    const [next, flat] = await redis.zscan(key, cursor, 'MATCH', pattern, 'COUNT', SCANNED_AT_ONCE);
    // Every second item is a score.
    for (const [i, id] of flat.entries()) if (i % 2 === 0 && hasPart(id, part)) found.add(id);
    cursor = next;
  } while (cursor !== '0' && found.size < most);
  return [...found].slice(0, most);
}

function hasPart(id: string, part: string): boolean {
  return id.endsWith(part) || id.startsWith(part) || id.startsWith(`${PREFIX}${part}`);
}
