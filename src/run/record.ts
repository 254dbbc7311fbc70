import type { Retention } from '../config/file.ts';
import type { Refusal } from '../errors/failure.ts';
import type { FinishedStatus } from '../job/job.ts';
import type { JobError, ResultSummary, Usage } from '../job/view.ts';
import type { UpstreamResponse } from '../responses/response.ts';

/** What is known of a job's run, beside BullMQ's job. Only the holder of the job's lock writes it, apart from a cancel. */
export interface RunRecord {
  startedAt: number | undefined;
  finishedAt: number | undefined;
  attempt: number;
  /** The upstream's name of the model that the job may be sent to: it has had its turn in the line. undefined: it has not, or again has to wait for one. */
  reservedModel: string | undefined;
  /** The mark of a create whose end nobody has written down: under way, or uncertain when its worker is gone. */
  submitting: Submission | undefined;
  /** Responses known to be bought for this job, ever: earlier attempts and retries by hand included. */
  purchases: number;
  /** Creates of this job of which nobody will know whether the upstream took them, ever; `submitting` is not among them. */
  uncertainPurchases: number;
  /** Nano-dollars known to be spent on this job, ever; undefined: none. */
  costNano: number | undefined;
  /** The response that was bought, while it may still be running or not yet collected. */
  upstreamId: string | undefined;
  /** The upstream keeps the response running without us: it can be adopted. */
  background: boolean;
  /** The response was created with a stream, so that it can be followed by events again. */
  streamed: boolean;
  /** The sequence number of the last stream event that was seen. */
  cursor: number | undefined;
  /** When the response was created, by our clock, in milliseconds. */
  responseCreatedAt: number | undefined;
  /** The last event or answered lookup of the response, by our clock, in milliseconds. */
  seenAt: number | undefined;
  upstreamStatus: string | undefined;
  outputCharacters: number;
  cancelRequested: boolean;
  status: FinishedStatus | undefined;
  error: JobError | undefined;
  /** What the upstream said of a failure, in its own words. */
  refusal: Refusal | undefined;
  summary: ResultSummary | undefined;
  usage: Usage | null;
}

/** One create request. */
export interface Submission {
  /** Chosen anew for each, so that a late answer to an earlier one can be told apart. */
  token: string;
  /** When it was sent, in milliseconds. */
  at: number;
  /** Whoever sent it has given up on its answer: no id will come home any more. */
  over: boolean;
}

/** The fields that an attempt writes as it goes; `undefined` removes one. */
export interface RunProgress {
  /** `undefined`: it has been used, or given back. */
  reservedModel?: undefined;
  /** `undefined`: the upstream has refused the create, nothing was bought. */
  submitting?: undefined;
  submittingOver?: true;
  upstreamId?: string | undefined;
  background?: boolean;
  streamed?: boolean;
  cursor?: number | undefined;
  responseCreatedAt?: number | undefined;
  seenAt?: number | undefined;
  upstreamStatus?: string | undefined;
  outputCharacters?: number | undefined;
  error?: JobError | undefined;
}

/** A response that has ended, and what it cost: it is booked in the step that writes this down, if it was not before. */
export interface Spent {
  /** undefined: the one that the record knows, if there is one. */
  responseId: string | undefined;
  usage: Usage | null;
  costNano: number | null;
}

/** How a run ended. `spent` is null where no response has ended with it: none was bought, or it is still to be stopped and booked by a second writing. */
export type RunEnd =
  | { status: 'completed'; summary: ResultSummary; response: UpstreamResponse; spent: Spent }
  | { status: 'failed'; error: JobError; spent: Spent | null; refusal?: Refusal | undefined }
  | { status: 'cancelled'; spent: Spent | null };

/** Names in Redis are in snake_case, for people who look with redis-cli. */
const FIELD_NAMES: Record<keyof RunProgress, string> = {
  reservedModel: 'reserved_model',
  submitting: 'submitting',
  submittingOver: 'submitting_over',
  upstreamId: 'upstream_id',
  background: 'background',
  streamed: 'streamed',
  cursor: 'cursor',
  responseCreatedAt: 'response_created_at',
  seenAt: 'seen_at',
  upstreamStatus: 'upstream_status',
  outputCharacters: 'output_characters',
  error: 'error',
};

/** As a script takes them: field, value, field, value, … An empty value removes its field. */
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

/** usageBookingOf returns the `booking` argument of the scripts that book usage; see `usageBooking` in src/lua/run.ts. */
export function usageBookingOf(spent: Spent | null, tenant: string | undefined): string {
  if (spent === null) return '';
  const { responseId, usage, costNano } = spent;
  return JSON.stringify({
    response: responseId ?? '',
    tenant: tenant ?? '',
    input: wholeText(usage?.input_tokens ?? 0),
    cached: wholeText(usage?.cached_tokens ?? 0),
    output: wholeText(usage?.output_tokens ?? 0),
    reasoning: wholeText(usage?.reasoning_tokens ?? 0),
    nano_usd: costNano === null ? '' : wholeText(costNano),
  });
}

/** Redis adds up nothing but whole numbers, and other servers may say anything. */
function wholeText(value: number): string {
  return Number.isSafeInteger(Math.round(value)) ? String(Math.round(value)) : '0';
}

/** From the flat list of fields and values that a script returns. */
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
    submitting: submissionFrom(fields),
    purchases: number('purchases') ?? 0,
    uncertainPurchases: number('uncertain_purchases') ?? 0,
    costNano: number('cost_nano'),
    upstreamId: fields.get('upstream_id'),
    background: fields.get('background') === '1',
    streamed: fields.get('streamed') === '1',
    cursor: number('cursor'),
    responseCreatedAt: number('response_created_at'),
    seenAt: number('seen_at'),
    upstreamStatus: fields.get('upstream_status'),
    outputCharacters: number('output_characters') ?? 0,
    cancelRequested: fields.has('cancel_requested_at'),
    status: fields.get('status') as FinishedStatus | undefined,
    error: json<JobError>('error'),
    refusal: json<Refusal>('refusal'),
    summary: json<ResultSummary>('summary'),
    usage: json<Usage | null>('usage') ?? null,
  };
}

function submissionFrom(fields: ReadonlyMap<string, string>): Submission | undefined {
  const token = fields.get('submitting');
  if (token === undefined) return undefined;
  return { token, at: Number(fields.get('submitting_at') ?? 0), over: fields.has('submitting_over') };
}

const HOUR_S = 3600;
/** Our records outlive BullMQ's jobs by this much, so that a listed job never lacks its record; the worker's sweep takes both. */
const SLACK_S = 24 * HOUR_S;

/** The time to live of a finished record, in seconds: a backstop for when no worker is there to sweep. */
export function keepSeconds(retention: Retention): { completed: number; failed: number } {
  return {
    completed: Math.ceil(retention.completedHours * HOUR_S) + SLACK_S,
    failed: Math.ceil(retention.failedHours * HOUR_S) + SLACK_S,
  };
}
