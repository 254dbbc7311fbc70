import { termOf } from '../job/fields/metadata.ts';
import type { JobFilter } from '../job/job-queue.ts';
import type { JobView } from '../job/view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { JobIndex, ModelKeys } from '../redis/keys.ts';
import { activeEntries, type IndexEntry, indexFor, newestFirst, type TimeRange } from './index-sets.ts';
import { lookAt, type Plan, plain, type SearchStep } from './look.ts';

/** SearchFilter is a JobFilter that may be wider than one status: all jobs of an index. */
export interface SearchFilter extends JobFilter {
  readonly index?: JobIndex | undefined;
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
/** The same for a search for text, whose script returns the data of the jobs too: 7 microseconds a job. */
const READ_AT_ONCE = 200;

/**
 * search walks the jobs of a filter, newest first. In each model it walks the smallest of the indexes that a
 * matching job must stand in, and looks up the others. Text is looked for in the whole question, except that
 * of jobs with more than 256 KB of data. It may find jobs that do not match the rest of the filter: `matches`
 * decides, by the view of a job.
 */
export async function* search(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  filter: SearchFilter,
  { after, firstStep = STEP, withCosts = false }: SearchOptions = {},
): AsyncGenerator<SearchStep> {
  const plans = new Map<string, Plan>();
  for (const [model, { keys }] of queues) {
    if (filter.model !== undefined && filter.model !== model) continue;
    plans.set(model, await planFor(redis, keys, filter));
  }
  const needle = filter.q === undefined ? undefined : plain(filter.q);
  const needsLook =
    withCosts || needle !== undefined || [...plans.values()].some(({ others }) => others.length);
  const lookedAtOnce = needle === undefined ? LOOKED_AT_ONCE : READ_AT_ONCE;
  const walked = new Map([...plans].map(([model, { walked: key }]) => [model, key]));
  const active = filter.status === 'active' ? await activeOf(redis, queues, plans, after, filter) : undefined;
  const entries =
    active?.values() ??
    newestFirst(redis, walked, after, rangeOf(filter), needsLook ? lookedAtOnce : undefined);
  for (let isFirst = true; ; isFirst = false) {
    const size = needsLook ? lookedAtOnce : isFirst ? firstStep : STEP;
    const looked = await take(entries, size);
    if (looked.length > 0) {
      if (needsLook) yield* lookAt(redis, queues, plans, looked, needle);
      else yield { looked, found: looked.map((entry) => ({ entry, costNano: 0 })), tooLarge: 0 };
    }
    if (looked.length < size) return;
  }
}

/**
 * matches says whether a job matches a filter, except for its metadata, of which there are indexes, and its
 * text: the view of a job has only the beginning of the question.
 */
export function matches(view: JobView, { status, tenant, error, since, until }: JobFilter): boolean {
  const createdAt = Date.parse(view.created_at);
  return (
    (since === undefined || createdAt >= Date.parse(since)) &&
    (until === undefined || createdAt < Date.parse(until)) &&
    (status === undefined || view.status === status) &&
    (tenant === undefined || view.tenant === tenant) &&
    (error === undefined || (view.status === 'failed' && view.error.code === error))
  );
}

/** planFor makes the plan for a filter in one model. */
export async function planFor(redis: RedisClient, keys: ModelKeys, filter: SearchFilter): Promise<Plan> {
  const [first = '', ...rest] = indexesFor(keys, filter);
  // Active jobs are walked in BullMQ's own list.
  if (filter.status === 'active') return { walked: first, others: [first, ...rest] };
  if (rest.length === 0) return { walked: first, others: [] };
  const { sinceMs = '-inf', untilMs } = rangeOf(filter);
  const most = untilMs === undefined ? '+inf' : `(${untilMs}`;
  const indexes = [first, ...rest];
  const sizes = await Promise.all(indexes.map((index) => redis.zcount(index, sinceMs, most)));
  const smallest = indexes[sizes.indexOf(Math.min(...sizes))] ?? first;
  return { walked: smallest, others: indexes.filter((index) => index !== smallest) };
}

/** Returns the indexes of a model in which each job of a filter stands; there is at least one. */
function indexesFor(
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

function rangeOf({ since, until }: JobFilter): TimeRange {
  return { sinceMs: timeIn(since), untilMs: timeIn(until) };
}

function timeIn(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
}

function activeOf(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  plans: ReadonlyMap<string, Plan>,
  after: IndexEntry | undefined,
  filter: JobFilter,
): Promise<IndexEntry[] | undefined> {
  const keys = [...queues].filter(([model]) => plans.has(model));
  const lists = keys.map(
    ([model, queue]) =>
      [model, { active: queue.keys.queue('active'), all: queue.keys.index('all') }] as const,
  );
  return activeEntries(redis, new Map(lists), after, rangeOf(filter));
}

async function take<Item>(items: AsyncIterator<Item> | Iterator<Item>, count: number): Promise<Item[]> {
  const taken: Item[] = [];
  while (taken.length < count) {
    const next = await items.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}
