import type { Cluster, Redis } from 'ioredis';
import { QueueError } from '../errors/problem.ts';
import type { JobStatus } from '../job/job.ts';
import type { JobIndex } from '../redis/keys.ts';

/** IndexEntry is a job's entry in an index of its model. */
export interface IndexEntry {
  model: string;
  id: string;
  /** When the job was created, in Unix milliseconds. */
  createdAt: number;
}

/**
 * TimeRange bounds when jobs were created, in Unix milliseconds: `sinceMs` inclusive, `untilMs` exclusive.
 */
export interface TimeRange {
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** How many entries are read from Redis at once, per model, if the caller does not say. */
const BATCH = 100;

/**
 * indexFor returns the index that has all jobs of a status. Unfinished jobs change their status inside
 * BullMQ, where our indexes cannot follow, so they share one index.
 */
export function indexFor(status: JobStatus | undefined): JobIndex {
  switch (status) {
    case undefined:
      return 'all';
    case 'waiting':
    case 'delayed':
    case 'active':
      return 'live';
    case 'completed':
    case 'failed':
    case 'cancelled':
      return status;
    default: {
      const never: never = status;
      throw new Error(`unknown status ${String(never)}`);
    }
  }
}

/**
 * newestFirst merges the indexes of several models into one list, newest first. Its cost grows with the
 * number of entries that are read, not with the number that exist.
 *
 * @param indexes the key of each model's index.
 * @param after the entry after which the list begins.
 * @param range when the jobs were created. Default: at any time.
 * @param atOnce how many entries are read from Redis at once, per model. Default 100.
 */
export async function* newestFirst(
  redis: Redis | Cluster,
  indexes: ReadonlyMap<string, string>,
  after: IndexEntry | undefined,
  range: TimeRange = {},
  atOnce = BATCH,
): AsyncGenerator<IndexEntry> {
  const sources = [...indexes].map(([model, key]) => entriesOf(redis, { model, key, after, range, atOnce }));
  const heads = await Promise.all(sources.map((source) => source.next()));
  for (;;) {
    const newest = heads.reduce((best, head, i) => {
      if (head.done) return best;
      const other = best === -1 ? undefined : heads[best];
      return other === undefined || other.done || isNewer(head.value, other.value) ? i : best;
    }, -1);
    const head = heads[newest];
    const source = sources[newest];
    if (head === undefined || head.done || source === undefined) return;
    yield head.value;
    heads[newest] = await source.next();
  }
}

/** More active jobs than this are found through the index of unfinished jobs: they are too many to sort. */
const MOST_ACTIVE = 10_000;

/**
 * activeEntries returns the active jobs of several models, newest first. BullMQ's list has them in another
 * order, and is as long as the fleet has slots, so it is read whole. undefined: there are more than 10,000.
 *
 * @param models the list of active jobs and the index of all jobs of each model.
 * @param after the entry after which the list begins.
 */
export async function activeEntries(
  redis: Redis | Cluster,
  models: ReadonlyMap<string, { active: string; all: string }>,
  after: IndexEntry | undefined,
  { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY }: TimeRange = {},
): Promise<IndexEntry[] | undefined> {
  const lists = await Promise.all(
    [...models].map(async ([model, { active, all }]) => {
      const ids = await redis.lrange(active, 0, MOST_ACTIVE);
      const scores = ids.length === 0 ? [] : await redis.zmscore(all, ...ids);
      return ids.flatMap((id, i): IndexEntry[] => {
        const score = scores[i];
        return typeof score === 'string' ? [{ model, id, createdAt: Number(score) }] : [];
      });
    }),
  );
  const entries = lists.flat();
  if (entries.length > MOST_ACTIVE) return undefined;
  return entries
    .filter((entry) => after === undefined || isNewer(after, entry))
    .filter(({ createdAt }) => createdAt >= sinceMs && createdAt < untilMs)
    .sort((one, other) => (isNewer(one, other) ? -1 : 1));
}

interface Source {
  model: string;
  key: string;
  after: IndexEntry | undefined;
  range: TimeRange;
  atOnce: number;
}

/**
 * entriesOf continues from an entry, not from an offset: every job that comes or goes meanwhile shifts the
 * offsets, and a list would skip some jobs and show others twice. Entries of the same millisecond are read
 * again and skipped.
 */
async function* entriesOf(
  redis: Redis | Cluster,
  { model, key, after, range, atOnce }: Source,
): AsyncGenerator<IndexEntry, undefined> {
  const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = range;
  const least = Number.isFinite(sinceMs) ? sinceMs : '-inf';
  let last = after;
  for (let again = 0; ; ) {
    const isBefore = last !== undefined && last.createdAt < untilMs;
    const most = isBefore ? last?.createdAt : Number.isFinite(untilMs) ? `(${untilMs}` : '+inf';
    const count = again + atOnce;
    const flat = await redis.zrevrangebyscore(key, most ?? '+inf', least, 'WITHSCORES', 'LIMIT', 0, count);
    const entries: IndexEntry[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      entries.push({ model, id: flat[i] ?? '', createdAt: Number(flat[i + 1]) });
    }
    for (const entry of entries) {
      if (last !== undefined && !isNewer(last, entry)) continue;
      last = entry;
      yield entry;
    }
    if (entries.length < count) return undefined;
    again = entries.filter(({ createdAt }) => createdAt === last?.createdAt).length;
  }
}

/** Jobs of the same millisecond are ordered by id, as Redis orders them (by bytes), and then by model. */
function isNewer(one: IndexEntry, other: IndexEntry): boolean {
  if (one.createdAt !== other.createdAt) return one.createdAt > other.createdAt;
  if (one.id !== other.id) return Buffer.compare(Buffer.from(one.id), Buffer.from(other.id)) > 0;
  return one.model > other.model;
}

/** cursorFrom encodes the last entry of a page as the cursor of the next page. */
export function cursorFrom(entry: IndexEntry): string {
  return Buffer.from(JSON.stringify([entry.createdAt, entry.id, entry.model])).toString('base64url');
}

/**
 * entryFrom decodes a cursor.
 *
 * @throws {QueueError} `invalid_request` for a string that `cursorFrom` did not make.
 */
export function entryFrom(cursor: string): IndexEntry {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (
      Array.isArray(parsed) &&
      Number.isFinite(parsed[0]) &&
      typeof parsed[1] === 'string' &&
      typeof parsed[2] === 'string'
    ) {
      return { createdAt: parsed[0], id: parsed[1], model: parsed[2] };
    }
  } catch {
    // The cursor is not JSON, and is refused below.
  }
  throw new QueueError('invalid_request', 'The cursor was expected to be the next_cursor of an earlier page');
}
