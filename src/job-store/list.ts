import { termOf } from '../job/fields/metadata.ts';
import type { JobFilter, JobQuery } from '../job/job-queue.ts';
import type { JobPage, JobView } from '../job/view.ts';
import { listBareJobs } from '../lua/job.ts';
import { iso } from '../model-queue/job-view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { indexesOf, type ModelKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { checkedQuery } from './filter.ts';
import { cursorFrom, entryFrom, type IndexEntry, indexFor } from './index-sets.ts';
import { listByPart } from './list-by-part.ts';
import { readViews } from './look.ts';
import { matches, search } from './search.ts';

/**
 * The most jobs that one call reads whole, and the longest time (ms) that it looks at jobs. A search with few
 * matches may need further calls, but no single call takes long.
 */
const READ_AT_MOST = 2000;
const LOOKS_FOR_MS = 300;
const READ_AT_ONCE = 50;
/**
 * An index entry without a job is kept until it is this old (ms), because an entry is written before its job.
 */
const ENTRY_BEFORE_JOB_MS = 3_600_000;
/** How many of the newest jobs of each of BullMQ's sets are checked for missing index entries. */
const MOST_BARE_JOBS = 100;

/**
 * listJobs lists jobs of all models, newest first. A page may have fewer jobs than its limit, or none,
 * although `next_cursor` leads to more: a search stops after 300 ms, or after reading 2,000 jobs that do not
 * match.
 *
 * @param looksForMs the longest time that the call looks at jobs. Default 300.
 * @throws {QueueError} `invalid_request`
 */
export async function listJobs(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  asked: JobQuery,
  looksForMs = LOOKS_FOR_MS,
): Promise<JobPage> {
  const query = checkedQuery(asked, queues);
  const { limit = 20, cursor, id, ...filter } = query;
  const stopAt = performance.now() + looksForMs;
  if (cursor === undefined && ['all', 'live'].includes(indexFor(filter.status))) {
    await Promise.all([...queues.values()].map(({ keys }) => indexBareJobs(redis, keys)));
  }
  if (id !== undefined) return listByPart(redis, queues, { ...query, id, limit }, stopAt);
  const after = cursor === undefined ? undefined : entryFrom(cursor);
  // The first step has as many jobs as the page needs if all match.
  const atOnce = Math.min(READ_AT_ONCE, limit + 1);
  const jobs: JobView[] = [];
  let last: IndexEntry | undefined;
  const excerpts: Record<string, string> = {};
  let [lookedAt, tooLarge, read] = [0, 0, 0];
  const pageTo = (end: IndexEntry | undefined): JobPage => ({
    jobs,
    next_cursor: end === undefined ? null : cursorFrom(end),
    ...(filter.q !== undefined && {
      searched: {
        jobs: lookedAt,
        back_to: end === undefined ? null : iso(end.createdAt),
        too_large: tooLarge,
        excerpts,
      },
    }),
  });
  for await (const step of search(redis, queues, filter, { after, firstStep: atOnce })) {
    const { looked, found } = step;
    lookedAt += looked.length;
    tooLarge += step.tooLarge;
    for (let from = 0; from < found.length; from += atOnce) {
      for (const { entry, view, excerpt } of await readViews(queues, found.slice(from, from + atOnce))) {
        if (view === undefined) await forget(redis, queues, entry, filter);
        else if (matches(view, filter)) {
          // This match does not fit on the page any more, so there is a next page, and it begins with it.
          if (jobs.length === limit) return pageTo(last);
          jobs.push(view);
          if (excerpt !== undefined) excerpts[view.id] = excerpt;
        }
        last = entry;
        read += 1;
      }
      if (read >= READ_AT_MOST || performance.now() >= stopAt) return pageTo(last);
    }
    last = looked.at(-1) ?? last;
    if (performance.now() >= stopAt) return pageTo(last);
  }
  return pageTo(undefined);
}

async function indexBareJobs(redis: RedisClient, keys: ModelKeys): Promise<void> {
  await listBareJobs.run(redis, {
    keys: keys.scriptKeys,
    args: { jobPrefix: keys.job(''), runPrefix: keys.run(''), most: MOST_BARE_JOBS },
  });
}

/**
 * Removes an entry without a job. A crash while enqueueing leaves such an entry, and so does a BullMQ client
 * that removes a job.
 */
async function forget(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  { model, id, createdAt }: IndexEntry,
  { metadata = {} }: JobFilter,
): Promise<void> {
  const keys = queues.get(model)?.keys;
  if (keys === undefined || serverTime(redis) - createdAt < ENTRY_BEFORE_JOB_MS) return;
  const tenants = await redis.smembers(keys.tenants);
  const codes = await redis.smembers(keys.errorCodes);
  const indexes = [
    ...indexesOf(keys),
    ...tenants.map((tenant) => keys.tenantIndex(tenant)),
    ...codes.map((code) => keys.errorIndex(code)),
    ...Object.entries(metadata).map(([key, value]) => keys.metadataIndex(termOf(key, value))),
  ];
  await Promise.all(indexes.map((key) => redis.zrem(key, id)));
}
