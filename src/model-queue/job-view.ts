import type { Cluster, Redis } from 'ioredis';
import type { Models } from '../config/file.ts';
import type { Refusal } from '../errors/failure.ts';
import { type BoardLimitKind, type BoardMeta, boardLimitsFrom } from '../fair-queue/board-limits.ts';
import {
  type Hindrance,
  type Position,
  positionFrom,
  type Waiting,
  waitingForChildren,
  waitingIn,
  waitingOutside,
} from '../fair-queue/eta.ts';
import { weightsOf } from '../fair-queue/fair-queue.ts';
import { type CompletionWindow, windowNamed } from '../job/completion-window.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import { publicId } from '../job/ids/response-id.ts';
import type { JobStatus } from '../job/job.ts';
import { optionsFrom, type StoredOptions } from '../job/stored-options.ts';
import type { JobView, ResultSummary } from '../job/view.ts';
import { readJobScript } from '../lua/job.ts';
import { jobScriptKeys, type ModelKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import type { WriteProbe } from '../redis/write-probe.ts';
import { type JobAct, type RunRecord, runRecordFrom } from '../run/record.ts';
import { usdFrom } from '../usage/usd.ts';
import { bullmqError } from './bullmq-failure.ts';

/** ReadOptions name the queue whose jobs are read. */
export interface ReadOptions {
  redis: Redis | Cluster;
  keys: ModelKeys;
  model: string;
  /** The most attempts of a job that has no limit of its own. */
  maxAttempts: number;
  tenants: Models['tenants'];
  /**
   * Says why Redis accepts no writes. It is used only for a waiting job, which cannot start at such a time.
   * Default: Redis is not checked.
   */
  redisTrouble?: WriteProbe;
}

/** JobReading is a job's view, with further facts for this process. */
export interface JobReading {
  view: JobView;
  /**
   * Whether BullMQ has finished the job too: false while a cancelled job still has an entry in BullMQ's
   * queue.
   */
  settled: boolean;
  /** The upstream's own words about a failure. */
  refusal: Refusal | undefined;
  /** The chain of responses to which the job belongs; undefined: to none, or only to its own. */
  continuation: string | undefined;
  /** The URL of the job's webhook; undefined: none. */
  webhook: string | undefined;
  /** Who has cancelled and retried the job, oldest first. */
  acts: readonly JobAct[];
  /** The span of the attempt that ended the job; undefined: it was not traced. */
  trace: TraceContext | undefined;
}

/** readJob reads one job of a model's queue at one instant; null when the queue has no such job. */
export async function readJob(
  id: string,
  { redis, keys, model, maxAttempts, tenants, redisTrouble }: ReadOptions,
): Promise<JobReading | null> {
  const reply = await readJobScript.run(redis, {
    keys: jobScriptKeys(keys, id, ''),
    args: { id, weights: weightsOf(tenants) },
  });
  if (reply === null) return null;
  const raw = JSON.parse(String(reply)) as RawReading;
  const [state, open, due, waitsUnder, workers, fields, run, place, children] = raw;
  const [board, ...meta] = waitsUnder || NO_BOARD_LIMITS;
  const limits = boardLimitsFrom(meta.map(fieldOf) as unknown as BoardMeta);
  const [name, timestamp, options, finishedOn, failedReason, returnValue] = fields.map(fieldOf);
  const known = optionsFrom(JSON.parse(options ?? '{}'));
  const { attempts = maxAttempts, group, webhook, continuation, metadata = {}, need } = known;
  const record = runRecordFrom(Array.isArray(run) ? run : []);
  const view = viewFrom({
    id: publicId(model, id),
    model,
    tenant: group?.id ?? null,
    maxAttempts: attempts,
    name: name ?? '',
    metadata,
    need,
    createdAt: Number(timestamp),
    finishedAt: finishedOn ? Number(finishedOn) : undefined,
    failedReason: failedReason ?? '',
    returnValue: returnValue ?? null,
    state,
    open: open === 1,
    dueAt: due === false ? undefined : Number(due),
    hindrance: { board: board || undefined, limits, noWorker: workers === 0 },
    place: positionFrom(place || null),
    children: children === false ? undefined : children,
    maxInFlight: group && Object.hasOwn(tenants, group.id) ? tenants[group.id]?.maxInFlight : undefined,
    run: record,
    now: serverTime(redis),
  });
  if (view.status === 'waiting') {
    const trouble = await redisTrouble?.();
    if (trouble !== undefined) Object.assign(view, { waiting_for: trouble, eta_ms: null, eta_basis: null });
  }
  const settled = state === 'completed' || state === 'failed';
  const { refusal, acts, attemptTrace: trace } = record;
  return { view, settled, webhook, continuation, refusal, acts, trace };
}

type BullState = 'waiting' | 'delayed' | 'active' | 'completed' | 'failed';
type Field = string | null;
/** In the script's JSON, false stands for what Redis does not have. */
type RawField = string | false;
type BoardReading = [BoardLimitKind | '', RawField, RawField, RawField, RawField];
const NO_BOARD_LIMITS: BoardReading = ['', false, false, false, false];
type RawReading = [
  BullState,
  0 | 1,
  RawField,
  BoardReading | false,
  number | false,
  RawField[],
  string[] | Record<string, never>,
  NonNullable<Parameters<typeof positionFrom>[0]> | false,
  number | false,
];

function fieldOf(raw: RawField): Field {
  return raw === false ? null : raw;
}

interface Facts {
  id: string;
  model: string;
  tenant: string | null;
  maxAttempts: number;
  name: string;
  metadata: Record<string, string>;
  need: StoredOptions['need'];
  createdAt: number;
  finishedAt: number | undefined;
  failedReason: string;
  returnValue: Field;
  state: BullState;
  /**
   * Whether the run may still change. When false, the final status of the record counts, whatever BullMQ's
   * state is.
   */
  open: boolean;
  dueAt: number | undefined;
  hindrance: Hindrance;
  /** The job's position; undefined: the job is not in the fair queue. */
  place: Position | undefined;
  /** How many children a flow's parent waits for; undefined: the job waits for none. */
  children: number | undefined;
  /** How many jobs of the job's tenant may be in flight; undefined: any number. */
  maxInFlight: number | undefined;
  run: RunRecord;
  now: number;
}

export function viewFrom(facts: Facts): JobView {
  const { run } = facts;
  const status: JobStatus = facts.open ? facts.state : (run.status ?? facts.state);
  const base = {
    id: facts.id,
    model: facts.model,
    tenant: facts.tenant,
    question: facts.name,
    metadata: facts.metadata,
    created_at: iso(facts.createdAt),
    needed_by: facts.need?.by === undefined ? null : iso(facts.need.by),
    completion_window: completionWindowOf(facts),
    attempt: run.attempt,
    max_attempts: facts.maxAttempts,
    purchases: run.purchases,
    uncertain_purchases: uncertainPurchases(run, status),
    cost_usd: usdFrom(run.costNano),
    list_usd: usdFrom(run.costNano === undefined ? undefined : run.costNano + run.savedNano),
    saved_usd: usdFrom(run.costNano === undefined ? undefined : run.savedNano),
    cost_estimated: run.estimates > 0,
    simulated: run.simulated,
  };
  const upstreamId = run.upstreamId ?? null;
  switch (status) {
    case 'waiting':
      return { ...base, status, ...waitingOf(facts) };
    case 'delayed':
      return { ...base, status, ...delayOf(facts) };
    case 'active': {
      const startedAt = run.startedAt ?? facts.now;
      return {
        ...base,
        status,
        started_at: iso(startedAt),
        duration_ms: Math.max(0, facts.now - startedAt),
        upstream_id: upstreamId,
        progress: {
          upstream_status: run.upstreamStatus ?? null,
          output_characters: run.outputCharacters,
          seen_at: run.seenAt === undefined ? null : iso(run.seenAt),
        },
        cancelling: run.cancelRequested,
      };
    }
    case 'completed':
      return { ...base, status, ...timesOf(facts), upstream_id: upstreamId, result: summaryOf(facts) };
    case 'failed':
      return {
        ...base,
        status,
        ...timesOf(facts),
        upstream_id: upstreamId,
        error: run.error ?? bullmqError(facts.failedReason),
        usage: run.usage,
      };
    case 'cancelled':
      return { ...base, status, ...timesOf(facts), upstream_id: upstreamId, usage: run.usage };
    default: {
      const never: never = status;
      throw new Error(`unknown status ${String(never)}`);
    }
  }
}

/** What was bought in a window that this queue knows has that window in its record. */
function completionWindowOf({ run, need }: Facts): CompletionWindow | null {
  if (run.completionWindow !== undefined) return run.completionWindow;
  const asked = windowNamed(need?.window);
  if (need?.window !== undefined && asked === undefined) return null;
  if (run.upstreamId !== undefined) return 'soonest';
  return asked ?? (run.purchases > 0 ? 'soonest' : null);
}

function waitingOf({ children, place, tenant, maxInFlight, hindrance, now }: Facts): Waiting {
  if (children !== undefined) return waitingForChildren(children);
  if (place === undefined) return waitingOutside(hindrance);
  return waitingIn(place, { tenant: tenant ?? '', maxInFlight }, hindrance, now);
}

/**
 * For an active job the purchase mark stands for a create that is under way. For any other job it stands for
 * a create with an unknown outcome.
 */
function uncertainPurchases({ uncertainPurchases, purchaseMark }: RunRecord, status: JobStatus): number {
  return uncertainPurchases + (purchaseMark !== undefined && status !== 'active' ? 1 : 0);
}

function delayOf({ dueAt, now, run }: Facts): { due_at: string; waiting_for: string } {
  const due = iso(dueAt ?? now);
  const reason =
    run.error === undefined
      ? 'its time'
      : `attempt ${run.attempt + 1}, after ${run.error.code}: ${run.error.message}`;
  return { due_at: due, waiting_for: `${reason} (at ${due})` };
}

function timesOf({ run, finishedAt, now }: Facts): {
  started_at: string | null;
  finished_at: string;
  duration_ms: number;
} {
  const end = run.finishedAt ?? finishedAt ?? now;
  return {
    started_at: run.startedAt === undefined ? null : iso(run.startedAt),
    finished_at: iso(end),
    duration_ms: run.startedAt === undefined ? 0 : Math.max(0, end - run.startedAt),
  };
}

/**
 * The record gets the summary before BullMQ does. BullMQ's copy can still be read after the record has
 * expired.
 */
function summaryOf({ run, returnValue }: Facts): ResultSummary {
  return run.summary ?? (JSON.parse(returnValue ?? 'null') as ResultSummary);
}

/** The end of the year 9999: later times have a longer form in ISO 8601 that many readers do not know. */
const LATEST_MS = 253_402_300_799_999;

/**
 * iso formats Unix milliseconds, limited to the years 1970 to 9999. Another BullMQ client may give a job any
 * time, and one absurd job must not make a list unreadable.
 */
export function iso(milliseconds: number): string {
  return new Date(Math.min(Math.max(milliseconds, 0), LATEST_MS) || 0).toISOString();
}
