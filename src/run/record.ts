import type { Retention } from '../config/file.ts';
import type { Refusal } from '../errors/failure.ts';
import { type CompletionWindow, windowNamed } from '../job/completion-window.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import type { FinishedStatus } from '../job/job.ts';
import type { JobError, ResultSummary, Usage } from '../job/view.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import { type PurchaseMark, purchaseMarkFrom } from './purchase-mark.ts';
import type { Spent } from './spent.ts';

/**
 * RunRecord is what is stored about a job's run, beside BullMQ's job. Only the holder of the job's lock
 * writes it. The exceptions are a cancel and the id of a bought response.
 */
export interface RunRecord {
  startedAt: number | undefined;
  finishedAt: number | undefined;
  /** The current or last attempt of the run, counted from 1; 0 before the first. */
  attempt: number;
  /**
   * The upstream model whose quota is reserved for this job; undefined: the job has not had its turn in the
   * fair queue.
   */
  reservedModel: string | undefined;
  /** Input and output tokens that were reserved for the job when its turn came; 0: unknown. */
  reservedTokens: number;
  /**
   * The completion window with which the job's response is bought; undefined: nothing was reserved yet, or
   * neither the job nor its caller needs a window, so that it is `soonest`.
   */
  completionWindow: CompletionWindow | undefined;
  /**
   * The mark of a create whose outcome is not stored: the create is under way, or it is uncertain because its
   * worker is gone.
   */
  purchaseMark: PurchaseMark | undefined;
  /** Responses known to be bought for this job in all its runs. */
  purchases: number;
  /** Creates of this job in all its runs whose outcome stays unknown; `purchaseMark` is not among them. */
  uncertainPurchases: number;
  /** Nano-dollars spent on this job in all its runs, estimates included; undefined: no cost is known. */
  costNano: number | undefined;
  /** Nano-dollars that completion windows have saved in all runs of this job, estimates included. */
  savedNano: number;
  /** The number of responses whose cost is estimated. */
  estimates: number;
  /** The id of the bought response, which may still be running. */
  upstreamId: string | undefined;
  /** Whether the response runs in the background of the upstream, so that another worker can adopt it. */
  background: boolean;
  /** Whether the response was created with a stream, so that its events can be read again. */
  streamed: boolean;
  /** The span of the create that bought the response; undefined: its worker traces nothing. */
  purchaseTrace: TraceContext | undefined;
  /** Whether the response came from our simulator: it costs nothing and is not booked as usage. */
  simulated: boolean;
  /** The sequence number of the last stream event in the event log. */
  cursor: number | undefined;
  /** When the response was created, by the worker's clock, in Unix milliseconds. */
  responseCreatedAt: number | undefined;
  /** The time of the last event or answered lookup, by the worker's clock, in Unix milliseconds. */
  seenAt: number | undefined;
  upstreamStatus: string | undefined;
  outputCharacters: number;
  /** The length in bytes of all that the response has streamed: text, reasoning, arguments of calls. */
  streamedBytes: number;
  /**
   * The time since which the upstream has been busy with the conversation that this job continues, in Unix
   * milliseconds.
   */
  busySince: number | undefined;
  /** The span of the last attempt that failed or ended the run; undefined: none has, or it was not traced. */
  attemptTrace: TraceContext | undefined;
  cancelRequested: boolean;
  status: FinishedStatus | undefined;
  error: JobError | undefined;
  /** The upstream's own words about a failure. */
  refusal: Refusal | undefined;
  summary: ResultSummary | undefined;
  usage: Usage | null;
  /** Who has cancelled and retried the job, oldest first; the latest 20. */
  acts: JobAct[];
}

/** JobAct is a cancel or a retry by hand of a job. */
export interface JobAct {
  /** In Unix milliseconds, by the clock of Redis. */
  at: number;
  what: 'cancel' | 'retry';
  /** The tenant; null: the instance has no keys. */
  by: string | null;
  /** The id of the long action that did it; null: the job alone was changed. */
  action: string | null;
}

/** RunProgress has the fields that an attempt writes while it runs; `undefined` removes a field. */
export interface RunProgress {
  /** `undefined`: the reservation was used, or was given back. */
  reservedModel?: undefined;
  completionWindow?: CompletionWindow;
  /** `undefined`: the upstream has refused the create, so nothing was bought. */
  purchaseMark?: undefined;
  purchaseMarkAbandoned?: true;
  upstreamId?: string | undefined;
  background?: boolean;
  streamed?: boolean;
  simulated?: boolean;
  cursor?: number | undefined;
  responseCreatedAt?: number | undefined;
  seenAt?: number | undefined;
  upstreamStatus?: string | undefined;
  outputCharacters?: number | undefined;
  streamedBytes?: number;
  busySince?: number | undefined;
  purchaseTrace?: TraceContext;
  attemptTrace?: TraceContext | undefined;
  error?: JobError | undefined;
}

/**
 * Begun is the record at the beginning of an attempt. `unreserved`: the job first has to wait for its turn in
 * the fair queue. `finished`: the job already has its final status.
 */
export interface Begun {
  state: 'open' | 'unreserved' | 'finished';
  /** Without the mark that this step has written. */
  record: RunRecord;
  /** Whether the create was marked. */
  isMarked: boolean;
}

/** Bought is what the record keeps of a bought response. */
export type Bought = Required<
  Pick<RunProgress, 'background' | 'streamed' | 'simulated' | 'responseCreatedAt' | 'upstreamStatus'>
> & { upstreamId: string } & Pick<RunProgress, 'completionWindow' | 'purchaseTrace'>;

/**
 * RunEnd says how a run ended. `spent` is the response that ended with the run. `spent` is null if nothing
 * was bought, or if the response still has to be stopped; a second call then books the response.
 */
export type RunEnd =
  | { status: 'completed'; summary: ResultSummary; response: UpstreamResponse; spent: Spent }
  | { status: 'failed'; error: JobError; spent: Spent | null; refusal?: Refusal | undefined }
  | { status: 'cancelled'; spent: Spent | null };

/** RunObserver hears what one writer has done, and no other writer before. */
export interface RunObserver {
  /** Called when the first attempt of the run begins. */
  onFirstStart?: (record: RunRecord) => void;
  /** Called once, when the writer has written the final status. Of all writers of a run one does. */
  onEnd?: (end: RunEnding) => void;
  /** Called for a response whose usage is known, when the writer was the first to book it. */
  onSpent?: (spent: UsageSpent) => void;
}

/** UsageSpent is a response whose usage the upstream has reported, and its cost. */
export type UsageSpent = Spent & { usage: Usage };

/** RunEnding is a final status that was written just now. */
export interface RunEnding {
  status: FinishedStatus;
  /** Why the job has failed; '' for another status. */
  code: string;
  /** In Unix milliseconds, by the clock of Redis. */
  at: number;
}

/** Field names in Redis are in snake_case, for operators with redis-cli. */
const FIELD_NAMES: Record<keyof RunProgress, string> = {
  reservedModel: 'reserved_model',
  completionWindow: 'completion_window',
  purchaseMark: 'purchase_mark',
  purchaseMarkAbandoned: 'purchase_mark_abandoned',
  upstreamId: 'upstream_id',
  background: 'background',
  streamed: 'streamed',
  simulated: 'simulated',
  cursor: 'cursor',
  responseCreatedAt: 'response_created_at',
  seenAt: 'seen_at',
  upstreamStatus: 'upstream_status',
  outputCharacters: 'output_characters',
  streamedBytes: 'streamed_bytes',
  busySince: 'busy_since',
  purchaseTrace: 'purchase_trace',
  attemptTrace: 'attempt_trace',
  error: 'error',
};

/**
 * fieldsOf returns the fields in the form that scripts take: field, value, … An empty value removes its
 * field.
 */
export function fieldsOf(progress: RunProgress): string[] {
  return Object.entries(progress).flatMap(([name, value]) => [
    FIELD_NAMES[name as keyof RunProgress],
    textOf(value),
  ]);
}

function textOf(value: RunProgress[keyof RunProgress]): string {
  if (value === undefined) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  return typeof value === 'boolean' ? String(Number(value)) : String(value);
}

/** runRecordFrom decodes a record from the flat list that a script returns: field, value, … */
export function runRecordFrom(flat: readonly string[]): RunRecord {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] ?? '', flat[i + 1] ?? '');
  const number = (field: string): number | undefined =>
    fields.has(field) ? Number(fields.get(field)) : undefined;
  const json = <Value>(field: string): Value | undefined => {
    const text = fields.get(field);
    return text === undefined ? undefined : (JSON.parse(text) as Value);
  };
  return {
    startedAt: number('started_at'),
    finishedAt: number('finished_at'),
    attempt: number('attempt') ?? 0,
    reservedModel: fields.get('reserved_model'),
    reservedTokens: number('reserved_tokens') ?? 0,
    completionWindow: windowNamed(fields.get('completion_window')),
    purchaseMark: purchaseMarkFrom(fields),
    purchases: number('purchases') ?? 0,
    uncertainPurchases: number('uncertain_purchases') ?? 0,
    costNano: number('cost_nano'),
    savedNano: number('saved_nano') ?? 0,
    estimates: number('estimates') ?? 0,
    upstreamId: fields.get('upstream_id'),
    background: fields.get('background') === '1',
    streamed: fields.get('streamed') === '1',
    simulated: fields.get('simulated') === '1',
    cursor: number('cursor'),
    responseCreatedAt: number('response_created_at'),
    seenAt: number('seen_at'),
    upstreamStatus: fields.get('upstream_status'),
    outputCharacters: number('output_characters') ?? 0,
    streamedBytes: number('streamed_bytes') ?? 0,
    busySince: number('busy_since'),
    purchaseTrace: json<TraceContext>('purchase_trace'),
    attemptTrace: json<TraceContext>('attempt_trace'),
    cancelRequested: fields.has('cancel_requested_at'),
    status: fields.get('status') as FinishedStatus | undefined,
    error: json<JobError>('error'),
    refusal: json<Refusal>('refusal'),
    summary: json<ResultSummary>('summary'),
    usage: json<Usage | null>('usage') ?? null,
    acts: json<JobAct[]>('acts') ?? [],
  };
}

const HOUR_S = 3600;
/**
 * Our records outlive BullMQ's jobs by this many seconds, so that a listed job always has its record. The
 * worker's retention sweep removes the job and its record.
 */
const SLACK_S = 24 * HOUR_S;

/**
 * keepSeconds returns the time to live of a finished record, in seconds. It applies only when no worker runs
 * to sweep the record.
 */
export function keepSeconds(retention: Retention): { completed: number; failed: number } {
  return {
    completed: Math.ceil(retention.completedHours * HOUR_S) + SLACK_S,
    failed: Math.ceil(retention.failedHours * HOUR_S) + SLACK_S,
  };
}
