import { cachedRead } from '../../../src/async/cached-read.ts';
import type { JobView } from '../../../src/job/view.ts';
import type { ModelState, ModelView } from '../../../src/models/view.ts';
import type { Sample } from '../../../src/overview/history.ts';
import type { ModelWorkload } from '../../../src/overview/workload.ts';
import type { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { UsageSums } from '../../../src/usage/report.ts';
import { utcDay } from '../../../src/usage/utc-day.ts';
import { HISTORY_MS } from './spark.tsx';

/** NowState is what the page Now shows, and what changes while it is open. */
export interface NowState {
  /** The time of the reading, in ISO 8601. */
  readonly at: string;
  readonly models: readonly ModelNow[];
  /** What the responses of today (UTC) have used and cost. */
  readonly today: Today;
  /** Jobs whose answers are being written, the newest first. */
  readonly running: readonly JobLine[];
  /** The newest jobs. */
  readonly jobs: readonly JobLine[];
}

/** ModelNow is the state of one model, as one visitor may see it. */
export interface ModelNow extends Pick<ModelState, 'status' | 'until'>, Omit<ModelWorkload, 'waits_for'> {
  /** The status in words, or what the next job waits for; null: jobs start as they come. */
  readonly reason: string | null;
  readonly today: Today;
  /** What concerns the whole instance; null: the visitor is one tenant of several. */
  readonly instance: InstanceState | null;
}

export type Today = Pick<UsageSums, 'requests' | 'cost_usd'>;

export interface InstanceState
  extends Pick<ModelState, 'workers' | 'in_flight' | 'requests_last_minute' | 'tokens_last_minute'> {
  /** The limits that apply; null: no limit is known. */
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  /** How the model stood in the last hours, every five minutes, earliest first. */
  readonly history: readonly Sample[];
}

export interface JobLine
  extends Pick<JobView, 'id' | 'status' | 'model' | 'tenant' | 'question' | 'created_at'> {}

/**
 * How old the state may be that a visitor gets, in milliseconds. All visitors of a tenant share one reading.
 */
const FRESH_MS = 2000;
/**
 * How old the sums of today may be, in milliseconds: they are a hash that has nine fields for each tenant.
 */
const SUMS_FRESH_MS = 10_000;
/** How old the charts may be, in milliseconds: they change every five minutes. */
const HISTORY_FRESH_MS = 60_000;
const JOBS = 10;
const RUNNING = 5;

/** NowReader reads the state for one visitor. */
export type NowReader = (view: TenantQueue, isAdmin: boolean) => Promise<NowState>;

/** createNowReader makes a reader whose readings are shared by all visitors with the same view. */
export function createNowReader(queue: InstanceQueue): NowReader {
  const readers = new Map<TenantQueue, () => Promise<NowState>>();
  return (view, isAdmin) => {
    const reader = readers.get(view) ?? cachedRead(stateReader(queue, view, isAdmin), FRESH_MS);
    readers.set(view, reader);
    return reader();
  };
}

function stateReader(queue: InstanceQueue, view: TenantQueue, isAdmin: boolean): () => Promise<NowState> {
  const readSums = cachedRead(async () => {
    const day = utcDay((await view.overview.workload()).at);
    return view.usage({ from: day, to: day, by: 'model' });
  }, SUMS_FRESH_MS);
  const readHistory = cachedRead(
    async () => view.overview.history((await view.overview.workload()).at - HISTORY_MS),
    HISTORY_FRESH_MS,
  );
  return async () => {
    const [models, workload, usage, { jobs }, { jobs: running }, history] = await Promise.all([
      queue.modelsLately(),
      view.overview.workload(),
      readSums(),
      view.list({ limit: JOBS }),
      view.list({ limit: RUNNING, status: 'active' }),
      isAdmin ? readHistory() : undefined,
    ]);
    const workloads = new Map(workload.models.map((each) => [each.model, each]));
    const sums = new Map(usage.rows.map((row) => [row.model, row]));
    return {
      at: new Date(workload.at).toISOString(),
      models: models.flatMap((model) => {
        const own = workloads.get(model.model);
        if (own === undefined) return [];
        return [
          modelNow(model, own, todayOf(sums.get(model.model)), history && (history.get(model.model) ?? [])),
        ];
      }),
      today: todayOf(usage.total),
      running: running.map(lineOf),
      jobs: jobs.map(lineOf),
    };
  };
}

function lineOf({ id, status, model, tenant, question, created_at }: JobView): JobLine {
  return { id, status, model, tenant, question, created_at };
}

function todayOf(sums: UsageSums | undefined): Today {
  return { requests: sums?.requests ?? 0, cost_usd: sums === undefined ? 0 : sums.cost_usd };
}

function modelNow(
  { state, limits, told_limits: told }: ModelView,
  { waits_for: waitsFor, ...workload }: ModelWorkload,
  today: Today,
  history: readonly Sample[] | undefined,
): ModelNow {
  const isAdmin = history !== undefined;
  return {
    ...workload,
    status: state.status,
    until: isAdmin ? state.until : null,
    reason: (isAdmin ? state.reason : null) ?? waitsFor,
    today,
    instance: isAdmin
      ? {
          workers: state.workers,
          in_flight: state.in_flight,
          requests_last_minute: state.requests_last_minute,
          tokens_last_minute: state.tokens_last_minute,
          requests_per_minute: smaller(limits.requests_per_minute, told.requests_per_minute),
          tokens_per_minute: smaller(limits.tokens_per_minute, told.tokens_per_minute),
          history,
        }
      : null,
  };
}

function smaller(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
