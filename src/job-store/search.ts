import type { JobFilter } from '../job/job-queue.ts';
import { termOf } from '../job/metadata.ts';
import type { JobView } from '../job/view.ts';
import { lookAtJobs } from '../lua/selections/search.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { JobIndex, ModelKeys } from '../redis/keys.ts';
import { type IndexEntry, indexFor, newestFirst, type TimeRange } from './index-sets.ts';

/** SearchFilter is a JobFilter that may be wider than one status: all jobs of an index. */
export interface SearchFilter extends JobFilter {
  readonly index?: JobIndex | undefined;
}

/** Found is an entry of a job that may match a filter. */
export interface Found {
  readonly entry: IndexEntry;
  /** What was spent on the job, in billionths of a US dollar; 0 if nothing is known. */
  readonly costNano: number;
}

/** SearchStep is a part of a search: the entries that it looked at, and those of them that may match. */
export interface SearchStep {
  readonly looked: readonly IndexEntry[];
  readonly found: readonly Found[];
}

export interface SearchOptions {
  /** The entry after which the search begins. Default: the newest. */
  readonly after?: IndexEntry | undefined;
  /** How many entries the first step has if no look at the jobs is needed. Default 50, as the others. */
  readonly firstStep?: number;
  /** Whether `costNano` is needed. Default false. */
  readonly withCosts?: boolean;
}

const STEP = 50;
/** How many jobs one script looks at. Redis does nothing else meanwhile: it takes about a millisecond. */
const LOOKED_AT_ONCE = 500;

/**
 * search walks the jobs of a filter, newest first. In each model it walks the smallest of the indexes that a
 * matching job must stand in, and looks up the others. It may find jobs that do not match: `matches` decides,
 * by the view of a job.
 */
export async function* search(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  filter: SearchFilter,
  { after, firstStep = STEP, withCosts = false }: SearchOptions = {},
): AsyncGenerator<SearchStep> {
  const range = { sinceMs: timeIn(filter.since), untilMs: timeIn(filter.until) };
  const plans = new Map<string, Plan>();
  for (const [model, { keys }] of queues) {
    if (filter.model !== undefined && filter.model !== model) continue;
    plans.set(model, await planFor(redis, indexesFor(keys, filter), range));
  }
  const needle = filter.q?.toLowerCase();
  const needsLook =
    withCosts || needle !== undefined || [...plans.values()].some(({ others }) => others.length);
  const walked = new Map([...plans].map(([model, { walked: key }]) => [model, key]));
  const entries = newestFirst(redis, walked, after, range);
  for (let isFirst = true; ; isFirst = false) {
    const size = needsLook ? LOOKED_AT_ONCE : isFirst ? firstStep : STEP;
    const looked = await take(entries, size);
    if (looked.length > 0) {
      const found = needsLook
        ? await lookAt(redis, queues, plans, looked, needle)
        : looked.map((entry) => ({ entry, costNano: 0 }));
      yield { looked, found };
    }
    if (looked.length < size) return;
  }
}

/** matches says whether a job matches a filter, except for its metadata, which the view of a job lacks. */
export function matches(view: JobView, { status, tenant, error, q, since, until }: JobFilter): boolean {
  const createdAt = Date.parse(view.created_at);
  return (
    (since === undefined || createdAt >= Date.parse(since)) &&
    (until === undefined || createdAt < Date.parse(until)) &&
    (status === undefined || view.status === status) &&
    (tenant === undefined || view.tenant === tenant) &&
    (error === undefined || (view.status === 'failed' && view.error.code === error)) &&
    (q === undefined || view.question.toLowerCase().includes(q.toLowerCase()))
  );
}

/** A plan says which index of a model is walked, and in which others a matching job must stand. */
interface Plan {
  walked: string;
  others: readonly string[];
}

/** indexesFor returns the indexes of a model in which each job of a filter stands; there is at least one. */
export function indexesFor(
  keys: ModelKeys,
  { status, index, tenant, error, metadata = {} }: SearchFilter,
): string[] {
  const byStatus = index ?? indexFor(status);
  const indexes = [
    ...(byStatus === 'all' ? [] : [keys.index(byStatus)]),
    ...(tenant === undefined ? [] : [keys.tenantIndex(tenant)]),
    ...(error === undefined ? [] : [keys.errorIndex(error)]),
    ...Object.entries(metadata).map(([key, value]) => keys.metadataIndex(termOf(key, value))),
  ];
  return indexes.length === 0 ? [keys.index('all')] : indexes;
}

async function planFor(redis: RedisClient, indexes: readonly string[], range: TimeRange): Promise<Plan> {
  const [first = '', ...rest] = indexes;
  if (rest.length === 0) return { walked: first, others: [] };
  const { sinceMs = '-inf', untilMs } = range;
  const most = untilMs === undefined ? '+inf' : `(${untilMs}`;
  const sizes = await Promise.all(indexes.map((index) => redis.zcount(index, sinceMs, most)));
  const smallest = indexes[sizes.indexOf(Math.min(...sizes))] ?? first;
  return { walked: smallest, others: indexes.filter((index) => index !== smallest) };
}

async function lookAt(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  plans: ReadonlyMap<string, Plan>,
  entries: readonly IndexEntry[],
  needle: string | undefined,
): Promise<Found[]> {
  const answers = new Map<IndexEntry, Found>();
  await Promise.all(
    [...plans].map(async ([model, { others }]) => {
      const keys = queues.get(model)?.keys;
      const mine = entries.filter((entry) => entry.model === model);
      if (keys === undefined || mine.length === 0) return;
      const flat = (await lookAtJobs.run(redis, {
        keys: {},
        args: { jobPrefix: keys.job(''), runPrefix: keys.run(''), alsoIn: JSON.stringify(others) },
        rest: mine.map(({ id }) => id),
      })) as (number | string | null)[];
      for (const [i, entry] of mine.entries()) {
        const [isIn, name, cost] = flat.slice(3 * i, 3 * i + 3);
        // The entry of a job that does not exist stays in: the list removes such entries.
        const isFound = name === null || needle === undefined || String(name).toLowerCase().includes(needle);
        if (isIn !== null && isFound) answers.set(entry, { entry, costNano: Number(cost ?? 0) });
      }
    }),
  );
  return entries.flatMap((entry) => answers.get(entry) ?? []);
}

function timeIn(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
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
