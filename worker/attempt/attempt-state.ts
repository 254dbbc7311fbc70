import type { Pace } from '../../src/async/pace.ts';
import type { ModelConfig } from '../../src/config/file.ts';
import { upstreamHeadersIn } from '../../src/job/upstream-headers.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { Spent } from '../../src/run/record.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { PriceList } from '../../src/usage/price.ts';
import type { Reservation } from '../reservation/reservation.ts';
import type { Upstream } from '../upstream/client.ts';
import type { LostResponses, OpenAiEvents } from '../upstream/openai-events.ts';
import { type ActiveAttempt, Interruption } from './active-attempt.ts';
import { type Purchase, type PurchaseEvent, spentOn, spentUnseen } from './purchase.ts';

/** AttemptServices are what all attempts of one model share. */
export interface AttemptServices {
  /** The name by which callers ask for the model. */
  alias: string;
  model: ModelConfig;
  prices: PriceList;
  upstream: Upstream;
  /** undefined: the upstream sends no webhooks. */
  openAiEvents: OpenAiEvents | undefined;
  /** undefined: the upstream sends no webhooks, by which alone a lost response could be found. */
  lostResponses: LostResponses | undefined;
  /** Shared by all event log writers of this process. */
  eventLogPace: Pace;
  /** How long a worker that lives may take to take back a job whose lock it has lost, in milliseconds. */
  takeBackMs: number;
}

/** AttemptContext is all that one attempt needs. Nothing of it is BullMQ's. */
export interface AttemptContext extends AttemptServices {
  /** The job's data as it lies in Redis, unchecked: any BullMQ client may have written it. */
  data: unknown;
  /** The attempts before this one, as BullMQ counts them. */
  attemptsMade: number;
  /** After this many attempts a retryable failure is final. */
  maxAttempts: number;
  writer: RunRecordWriter;
  active: ActiveAttempt;
  reservation: Reservation;
  /** Called with each purchase event, for the log and the metrics. */
  onPurchase: (event: PurchaseEvent) => void;
}

/**
 * Attempt is what an attempt was given, and how far it has come. `outcomeOfError` goes by it when a step
 * fails.
 */
export interface Attempt extends AttemptContext {
  /** Counts from 1, and again from 1 after a retry by hand. Until the record is read: `maxAttempts`. */
  number: number;
  /** The upstream's name of the model that the job is sent to: the first choice, or a fallback. */
  upstreamModel: string;
  /** In milliseconds; infinity: the job has none. No attempt begins after it. */
  deadlineAt: number;
  /** A response that may be running at the upstream. */
  purchase: Purchase | undefined;
  /** The response once it has ended, while its job has not. */
  ended: UpstreamResponse | undefined;
  /** Whether a create was sent whose outcome is unknown. */
  isUncertain: boolean;
  /** The upstream's answer to the cancel of the purchase; undefined: no cancel was sent. */
  stopping: Promise<UpstreamResponse | null> | undefined;
  timeLimit: NodeJS.Timeout | undefined;
  /** Takes this attempt's listeners and timers down. */
  close(): void;
}

/**
 * startAttempt returns an attempt that has done nothing yet, and that acts on a cancel at once. Call its
 * `close`.
 */
export function startAttempt(context: AttemptContext): Attempt {
  const stopListening = listenForCancel(context, () => stopPurchase(attempt));
  const attempt: Attempt = {
    ...context,
    upstream: context.upstream.withHeaders(upstreamHeadersIn(context.data)),
    number: context.maxAttempts,
    upstreamModel: context.model.upstream,
    deadlineAt: Number.POSITIVE_INFINITY,
    purchase: undefined,
    ended: undefined,
    isUncertain: false,
    stopping: undefined,
    timeLimit: undefined,
    close() {
      clearTimeout(attempt.timeLimit);
      stopListening();
    },
  };
  return attempt;
}

/**
 * stopPurchase cancels the response at the upstream, at most once. Nothing else sends a cancel.
 *
 * A foreground response ends with its connection, which the attempt's signal closes.
 *
 * @returns the response as the upstream left it; null: nothing was running, or the upstream did not say.
 */
export async function stopPurchase(attempt: Attempt): Promise<UpstreamResponse | null> {
  const { purchase, upstream } = attempt;
  if (purchase === undefined || !purchase.running.background) return null;
  attempt.stopping ??= upstream.cancel(purchase.running.response.id);
  return attempt.stopping;
}

/** spentByNow stops what still runs, and returns what the attempt has spent. */
export async function spentByNow(attempt: Attempt): Promise<Spent | null> {
  const response = attempt.ended ?? (await stopPurchase(attempt));
  return response === null ? spentUnseen(attempt.purchase) : spentOn(response, attempt.prices);
}

/**
 * Long enough for most upstreams to say what was used, and no caller waits longer for an upstream that does
 * not.
 */
const CANCEL_ANSWER_MS = 500;

/**
 * Acts on a cancel before the attempt has unwound, which takes a while when hundreds are cancelled together.
 * It tells the upstream at once. After `CANCEL_ANSWER_MS` it writes the cancel down although the upstream has
 * not answered: that may take half a minute when the upstream hangs, or when the create has not returned the
 * id yet. The attempt goes on until the upstream has answered; after a crash its successor tells the
 * upstream.
 *
 * @returns how to stop listening.
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
      // The attempt itself meets a lost lock or an unreachable Redis.
      writer.finish({ status: 'cancelled', spent: null }).catch(() => {});
    }, CANCEL_ANSWER_MS);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return () => {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(timer);
  };
}
