import { refusalOf, shown } from '../errors/input.ts';
import type { Flaw } from '../errors/problem.ts';
import { JOB_STATUSES } from '../job/job.ts';
import type { JobQuery } from '../job/job-queue.ts';
import type { JobPage, JobView } from '../job/view.ts';
import { listBareJobs } from '../lua/job.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { indexesOf, type ModelKeys, modelScriptKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { findIdsByPart } from './find-by-part.ts';
import { cursorFrom, entryFrom, type IndexEntry, indexFor, newestFirst } from './index-sets.ts';

/**
 * The most jobs that one call reads. A search with few matches may need further calls, but no single call
 * takes long.
 */
const LOOKED_AT_MOST = 2000;
const AT_ONCE = 50;
const MOST_PER_PAGE = 100;
/**
 * An index entry without a job is kept until it is this old (ms), because an entry is written before its job.
 */
const ENTRY_BEFORE_JOB_MS = 3_600_000;
/** How many of the newest jobs of each of BullMQ's sets are checked for missing index entries. */
const MOST_BARE_JOBS = 100;

/**
 * listJobs lists jobs of all models, newest first. A page may have fewer jobs than its limit, or none,
 * although `next_cursor` leads to more: a search stops after 2,000 jobs that do not match.
 *
 * @throws {QueueError} `invalid_request`
 */
export async function listJobs(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  query: JobQuery,
): Promise<JobPage> {
  const { status, tenant, limit = 20 } = query;
  checkQuery(query, queues);
  const searched =
    query.model === undefined ? queues : new Map([...queues].filter(([model]) => model === query.model));
  const after = query.cursor === undefined ? undefined : entryFrom(query.cursor);
  const needle = query.q?.toLowerCase();
  const matches = (view: JobView): boolean =>
    (status === undefined || view.status === status) &&
    (tenant === undefined || view.tenant === tenant) &&
    (needle === undefined || view.question.toLowerCase().includes(needle));

  const jobs: JobView[] = [];
  const index = indexFor(status);
  const keys = new Map([...searched].map(([model, queue]) => [model, queue.keys]));
  if (after === undefined && (index === 'all' || index === 'live')) {
    await Promise.all([...keys.values()].map((each) => indexBareJobs(redis, each)));
  }
  const indexes = new Map(
    [...keys].map(([model, of]) => [model, tenant === undefined ? of.index(index) : of.tenantIndex(tenant)]),
  );
  if (query.id !== undefined) {
    return { jobs: await jobsByPart(redis, queues, indexes, query.id, limit, matches), next_cursor: null };
  }
  const entries = newestFirst(redis, indexes, after);
  let last: IndexEntry | undefined;
  let lookedAt = 0;
  // The first step reads as many jobs as the page needs if all match; further steps are larger.
  for (let size = Math.min(AT_ONCE, limit + 1); ; size = AT_ONCE) {
    const batch = await take(entries, size);
    const views = await Promise.all(batch.map(({ model, id }) => queues.get(model)?.read(id)));
    for (const [i, entry] of batch.entries()) {
      const view = views[i]?.view;
      if (view === undefined) await forget(redis, queues, entry);
      else if (matches(view)) {
        // This match does not fit on the page any more, so there is a next page, and it begins with this
        // match.
        if (jobs.length === limit) return { jobs, next_cursor: last === undefined ? null : cursorFrom(last) };
        jobs.push(view);
      }
      last = entry;
    }
    lookedAt += batch.length;
    if (batch.length < size) return { jobs, next_cursor: null };
    if (lookedAt >= LOOKED_AT_MOST && last !== undefined) return { jobs, next_cursor: cursorFrom(last) };
  }
}

/** jobsByPart reads the jobs of some models by a part of their ids, newest first. */
async function jobsByPart(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  indexes: ReadonlyMap<string, string>,
  part: string,
  limit: number,
  matches: (view: JobView) => boolean,
): Promise<JobView[]> {
  const found = await Promise.all(
    [...indexes].map(async ([model, key]) => {
      const ids = await findIdsByPart(redis, key, part, limit);
      return Promise.all(ids.map((id) => queues.get(model)?.read(id)));
    }),
  );
  return found
    .flat()
    .flatMap((reading) => (reading && matches(reading.view) ? [reading.view] : []))
    .sort((a, b) => b.created_at.localeCompare(a.created_at))
    .slice(0, limit);
}

async function indexBareJobs(redis: RedisClient, keys: ModelKeys): Promise<void> {
  await listBareJobs.run(redis, {
    keys: modelScriptKeys(keys),
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
): Promise<void> {
  const keys = queues.get(model)?.keys;
  if (keys === undefined || serverTime(redis) - createdAt < ENTRY_BEFORE_JOB_MS) return;
  const tenants = await redis.smembers(keys.tenants);
  const indexes = [...indexesOf(keys), ...tenants.map((tenant) => keys.tenantIndex(tenant))];
  await Promise.all(indexes.map((key) => redis.zrem(key, id)));
}

async function take<Item>(items: AsyncGenerator<Item>, count: number): Promise<Item[]> {
  const taken: Item[] = [];
  while (taken.length < count) {
    const next = await items.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}

const QUERY_FIELDS: readonly string[] = [
  'status',
  'model',
  'tenant',
  'q',
  'id',
  'limit',
  'cursor',
] satisfies (keyof JobQuery)[];

function checkQuery(query: JobQuery, queues: ReadonlyMap<string, ModelQueue>): void {
  const { status, model, limit } = query;
  const unknown = Object.keys(query).filter((field) => !QUERY_FIELDS.includes(field));
  const flaws: Flaw[] = unknown.map((field) => ({
    path: field,
    message: `expected only ${QUERY_FIELDS.join(', ')}`,
  }));
  if (status !== undefined && !JOB_STATUSES.includes(status)) {
    flaws.push({
      path: 'status',
      message: `expected one of ${JOB_STATUSES.join(', ')}, got ${shown(status)}`,
    });
  }
  if (model !== undefined && !queues.has(model)) {
    flaws.push({
      path: 'model',
      message: `expected one of ${[...queues.keys()].join(', ')}, got ${shown(model)}`,
    });
  }
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= MOST_PER_PAGE)) {
    flaws.push({
      path: 'limit',
      message: `expected a whole number from 1 to ${MOST_PER_PAGE}, got ${shown(limit)}`,
    });
  }
  if (query.id === '') flaws.push({ path: 'id', message: 'expected a part of an id, got an empty text' });
  if (query.id !== undefined && query.cursor !== undefined) {
    flaws.push({ path: 'cursor', message: 'expected no cursor beside an id, whose jobs are one page' });
  }
  if (flaws.length > 0) throw refusalOf('query', flaws);
}
