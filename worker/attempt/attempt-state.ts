import type { Pace } from '../../src/async/pace.ts';
import type { ModelConfig } from '../../src/config/file.ts';
import { TerminalError } from '../../src/errors/failure.ts';
import { QueueError } from '../../src/errors/problem.ts';
import type { CompletionWindow } from '../../src/job/completion-window.ts';
import { upstreamHeadersIn } from '../../src/job/fields/upstream-headers.ts';
import { type JobData, parseJobData, responsesBodyFrom } from '../../src/job/request.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { AttemptTrace } from '../../src/tracing/attempt-trace.ts';
import type { PriceList } from '../../src/usage/price.ts';
import type { Reservation } from '../reservation/reservation.ts';
import type { Upstream } from '../upstream/client.ts';
import type { LostResponses, OpenAiEvents } from '../upstream/openai-events.ts';
import { hasEnded } from '../upstream/running-response.ts';
import type { AttemptWindow } from '../windows/window.ts';
import { type ActiveAttempt, Interruption } from './active-attempt.ts';
import type { Purchase, PurchaseEvent } from './purchase/purchase.ts';

/** AttemptServices are what all attempts of one model share. */
export interface AttemptServices {
  /** The name by which callers ask for the model. */
  alias: string;
  model: ModelConfig;
  prices: PriceList;
  upstream: Upstream;
  /** undefined: the upstream sends no webhooks. */
  openAiEvents: OpenAiEvents | undefined;
  /** Finds responses whose create got no answer; undefined: the upstream sends no webhooks, by which to find. */
  lostResponses: LostResponses | undefined;
  /** Shared by all event log writers of this process. */
  eventLogPace: Pace;
  /** Returns the time of Redis, in Unix milliseconds: for every time that another worker may compare. */
  now: () => number;
  /** How long a live worker may need to take back a job whose lock it has lost, in milliseconds. */
  takeBackMs: number;
  /** Called with the milliseconds from a purchase to the first part of the answer that is streamed. */
  onFirstToken: (ms: number) => void;
}

/** AttemptContext is everything that one attempt needs. It does not depend on BullMQ. */
export interface AttemptContext extends AttemptServices {
  /** The job's data as it is stored in Redis, unchecked: any BullMQ client may have written it. */
  data: unknown;
  /** The tenant of the job; '' for none. */
  tenant: string;
  /** The attempts before this one, as BullMQ counts them. */
  attemptsMade: number;
  /** Whether BullMQ starts the job for the first time: then no worker can have bought anything for it. */
  isFirstStart: boolean;
  /** After this many attempts a retryable failure is final. */
  maxAttempts: number;
  writer: RunRecordWriter;
  active: ActiveAttempt;
  reservation: Reservation;
  trace: AttemptTrace;
  /** Called with each purchase event, for the log and the metrics. */
  onPurchase: (event: PurchaseEvent) => void;
}

/** CheckedJob is a job's data after its check, in the form that an attempt uses. */
export interface CheckedJob {
  /** The body of the create request. */
  body: Record<string, unknown>;
  stream: boolean;
  /** How long the attempt may take, in milliseconds; undefined: as long as its model or its window says. */
  timeoutMs: number | undefined;
  /** The deadline of the job, in Unix milliseconds; infinity: the job has none. */
  deadlineAt: number;
  /** The chain of follow-ups to which the job belongs; undefined: none. */
  continuation: string | undefined;
}

/**
 * PreparedCreate is a create that is sent as soon as its attempt has begun: its purchase mark is written in
 * the step in which the attempt begins.
 */
export interface PreparedCreate {
  fencingToken: string;
  job: CheckedJob;
  /** Releases the slot for the create. */
  release(): void;
}

/**
 * Attempt is the state of one attempt: what it was given, and how far it has come. `outcomeOfError` uses it
 * when a step fails.
 */
export interface Attempt extends AttemptContext {
  /** It counts from 1, also after a retry by hand. Until the record has been read, it is `maxAttempts`. */
  number: number;
  /** The upstream's name of the model that the job is sent to: the first choice, or a fallback. */
  upstreamModel: string;
  /** The completion window of the response; undefined: `soonest`. */
  window: AttemptWindow | undefined;
  /** When a response within a window is cancelled, to buy another one (`buysAgainAt`); infinity: never. */
  lateAt: number;
  /** What the record says of the window; undefined: nothing. */
  completionWindow: CompletionWindow | undefined;
  /**
   * The deadline of the job, in Unix milliseconds; infinity: the job has none. No attempt begins after it.
   */
  deadlineAt: number;
  /** A create that was marked when the attempt began, and that `buy` has to send. */
  prepared: PreparedCreate | undefined;
  /** A response that may be running at the upstream. */
  purchase: Purchase | undefined;
  /** Input and output tokens that were reserved for the job; 0: unknown. */
  reservedTokens: number;
  /** The discount of the completion window in which the response is bought, 0 to 1. */
  discount: number;
  /** Bytes that the upstream has streamed for the response: text, reasoning, arguments of calls; no audio. */
  streamedBytes: number;
  /** The response, once it has ended and before the end of its job is stored. */
  ended: UpstreamResponse | undefined;
  /** Whether a create was sent whose outcome is unknown. */
  isUncertain: boolean;
  /** The upstream's answer to the cancel of the purchase; undefined: no cancel was sent. */
  stopping: Promise<UpstreamResponse | null> | undefined;
  timeLimit: NodeJS.Timeout | undefined;
  /** Removes this attempt's listeners and timers. */
  close(): void;
}

/**
 * startAttempt returns an attempt that has done nothing yet, and that already reacts to a cancel. Call its
 * `close` at the end.
 */
export function startAttempt(context: AttemptContext): Attempt {
  const stopListening = listenForCancel(context, () => stopPurchase(attempt));
  const headers = upstreamHeadersIn(context.data);
  // Thousands of attempts run in a worker, so these fields are listed: V8 gives an object that is copied with
  // `...` a shape of its own, of about half a kilobyte. Most jobs have no headers.
  const attempt: Attempt = {
    alias: context.alias,
    model: context.model,
    prices: context.prices,
    upstream: Object.keys(headers).length === 0 ? context.upstream : context.upstream.withHeaders(headers),
    openAiEvents: context.openAiEvents,
    lostResponses: context.lostResponses,
    eventLogPace: context.eventLogPace,
    now: context.now,
    takeBackMs: context.takeBackMs,
    onFirstToken: context.onFirstToken,
    data: context.data,
    tenant: context.tenant,
    attemptsMade: context.attemptsMade,
    isFirstStart: context.isFirstStart,
    maxAttempts: context.maxAttempts,
    writer: context.writer,
    active: context.active,
    reservation: context.reservation,
    trace: context.trace,
    onPurchase: context.onPurchase,
    number: context.maxAttempts,
    upstreamModel: context.model.upstream,
    window: undefined,
    lateAt: Number.POSITIVE_INFINITY,
    completionWindow: undefined,
    deadlineAt: Number.POSITIVE_INFINITY,
    prepared: undefined,
    purchase: undefined,
    reservedTokens: 0,
    discount: 0,
    streamedBytes: 0,
    ended: undefined,
    isUncertain: false,
    stopping: undefined,
    timeLimit: undefined,
    close() {
      clearTimeout(attempt.timeLimit);
      attempt.prepared?.release();
      stopListening();
    },
  };
  return attempt;
}

/**
 * checkJob checks a job's data, because any BullMQ client may have written it.
 * @throws {TerminalError} `invalid_request`.
 */
export function checkJob({ data, upstreamModel }: Attempt): CheckedJob {
  const checked = parsed(data);
  return {
    body: responsesBodyFrom(checked, upstreamModel),
    stream: checked.stream ?? true,
    timeoutMs: checked.timeout_ms,
    continuation: 'continuation' in checked ? checked.continuation : undefined,
    deadlineAt: checked.deadline === undefined ? Number.POSITIVE_INFINITY : Date.parse(checked.deadline),
  };
}

function parsed(data: unknown): JobData {
  try {
    return parseJobData(data);
  } catch (error: unknown) {
    if (!(error instanceof QueueError)) throw error;
    throw new TerminalError('invalid_request', error.message, { cause: error });
  }
}

/**
 * stopPurchase cancels the response at the upstream, at most once. No other function sends a cancel. Only
 * `stopLate` may repeat it.
 *
 * A foreground response ends with its connection, which the attempt's signal closes.
 *
 * @returns the response after the cancel; null: nothing was running, or the upstream did not answer.
 */
export async function stopPurchase(attempt: Attempt): Promise<UpstreamResponse | null> {
  const { purchase, upstream } = attempt;
  if (purchase === undefined || !purchase.running.background) return null;
  attempt.stopping ??= upstream.cancel(purchase.running.response.id);
  return attempt.stopping;
}

/**
 * stopLate cancels a response that is late. When the upstream did not cancel it, the attempt follows it on,
 * and may send another cancel.
 */
export async function stopLate(attempt: Attempt): Promise<UpstreamResponse | null> {
  const response = await stopPurchase(attempt);
  if (response === null || !hasEnded(response)) attempt.stopping = undefined;
  return response;
}

/**
 * How long a cancelled job waits for its usage, in milliseconds. Most upstreams report it within this time,
 * and callers should not wait longer for the others.
 */
const CANCEL_ANSWER_MS = 500;

/**
 * listenForCancel handles a cancel before the attempt itself does: when hundreds of jobs are cancelled
 * together, their attempts take a while to react. The listener cancels the response at the upstream at once.
 * After `CANCEL_ANSWER_MS` it writes the cancelled status even if the upstream has not answered: the answer
 * may take half a minute when the upstream hangs, or when the create has not returned the id yet. The attempt
 * goes on until the upstream has answered. After a crash the next attempt cancels the response.
 *
 * @returns a function that stops listening.
 */
function listenForCancel(
  { active: { signal }, writer }: AttemptContext,
  stop: () => Promise<unknown>,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    if (!(signal.reason instanceof Interruption) || signal.reason.reason !== 'cancelled') return;
    void stop();
    timer = setTimeout(() => {
      // The attempt itself handles a lost lock or an unreachable Redis.
      writer.finish({ status: 'cancelled', spent: null }).catch(() => {});
    }, CANCEL_ANSWER_MS);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return () => {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(timer);
  };
}
