import type { Pace } from '../../src/async/pace.ts';
import type { ModelConfig } from '../../src/config/file.ts';
import { TerminalError } from '../../src/errors/failure.ts';
import { QueueError } from '../../src/errors/problem.ts';
import { type JobData, parseJobData, responsesBodyFrom } from '../../src/job/request.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { RunProgress, RunRecord } from '../../src/run/record.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { PriceList } from '../../src/usage/price.ts';
import type { Reservation } from '../reservation/reservation.ts';
import type { Upstream } from '../upstream/client.ts';
import type { LostResponses } from '../upstream/lost-responses.ts';
import type { OpenAiEvents } from '../upstream/openai-events.ts';
import { withoutPurchaseToken } from '../upstream/purchase-token.ts';
import { PurchaseUncertainError } from '../upstream/purchase-uncertain-error.ts';
import { type ActiveAttempt, Interruption } from './active-attempt.ts';
import { announceCancel } from './early-cancel.ts';
import { createEventLogWriter } from './event-log-writer.ts';
import { outcomeOfError } from './failed-attempt.ts';
import { follow } from './follow.ts';
import { endFrom, type Outcome, outcomeOf, writeDown } from './outcome.ts';
import {
  buy,
  identityOf,
  type Purchase,
  type PurchaseEvent,
  purchaseToAdopt,
  stopSpending,
} from './purchase.ts';
import { spentUntilStopped } from './purchase-spent.ts';
import { findOwn, findUncertain } from './uncertain-purchase.ts';

/** All that one attempt needs; nothing of BullMQ. */
export interface Attempt {
  /** The job's data as it lies in Redis: anybody may have written it. */
  data: unknown;
  /** As BullMQ counts them, before this one. */
  attemptsMade: number;
  /** After so many a retryable failure is final too. */
  maxAttempts: number;
  /** By which the model is asked for. */
  alias: string;
  model: ModelConfig;
  prices: PriceList;
  record: RunRecordWriter;
  upstream: Upstream;
  /** What OpenAI's webhooks tell; undefined: the upstream sends none. */
  webhooks: { news: OpenAiEvents; orphans: LostResponses } | undefined;
  active: ActiveAttempt;
  /** What was taken of the upstream's quota for it. */
  grant: Reservation;
  /** Of all that write journals in this process. */
  journalPace: Pace;
  /** Told what it spends; for the log and the metrics. */
  onPurchase: (what: PurchaseEvent) => void;
}

/** One attempt, from what is known to what is written down. It adopts before it buys. */
export async function runAttempt(attempt: Attempt): Promise<Outcome> {
  const { active, upstream, onPurchase } = attempt;
  let number = attempt.maxAttempts;
  let deadlineAt = Number.POSITIVE_INFINITY;
  let purchase: Purchase | undefined;
  let fallbackFrom: string | null = null;
  let ended: UpstreamResponse | undefined;
  // A create was sent, and nobody knows what became of it.
  let unresolved = false;
  let timer: NodeJS.Timeout | undefined;
  const announcement = announceCancel(active.signal, attempt.record, () => {
    void stopSpending(purchase, upstream);
  });
  try {
    const { state, record } = await attempt.record.begin(attempt.attemptsMade);
    if (record.status !== 'completed') await bookLost(record, attempt.record);
    // It needs nothing any more, or it is too long ago: what a worker that is gone has taken for it is given back.
    if (state !== 'open' || record.cancelRequested) await attempt.grant.forget();
    if (state === 'ungranted') {
      // What will never run need not wait for its turn.
      ({ deadlineAt } = checkedJob(attempt, attempt.model.upstream));
      if (Date.now() >= deadlineAt) throw new Interruption('deadline');
      return { kind: 'postponed' };
    }
    number = record.attempt;
    purchase = purchaseToAdopt(record);
    if (state === 'finished') return await endedBefore(record, purchase, attempt);
    if (record.cancelRequested) throw new Interruption('cancelled');
    const upstreamModel = record.grant ?? attempt.model.upstream;
    if (upstreamModel !== attempt.model.upstream) fallbackFrom = attempt.model.upstream;
    await attempt.grant.begin(upstreamModel, purchase !== undefined);
    const job = checkedJob(attempt, upstreamModel);
    deadlineAt = job.deadlineAt;
    timer = endInTime(purchase, job, active);
    if (purchase !== undefined) onPurchase('adopted');
    else {
      if (number > 1) await attempt.record.append({ reason: reasonFor(record) }, {});
      purchase = await obtain(record, job, attempt, (now) => {
        unresolved = now;
      });
    }
    ended = await followToItsEnd(purchase, attempt);
    purchase = undefined;
    return await writeDown(
      endFrom(withoutPurchaseToken(ended), attempt.prices, fallbackFrom),
      attempt.record,
    );
  } catch (error: unknown) {
    return await outcomeOfError(error, {
      ...attempt,
      signal: active.signal,
      attempt: number,
      deadlineAt,
      purchase,
      ended,
      unresolved,
    });
  } finally {
    clearTimeout(timer);
    announcement.close();
  }
}

/** Why there is another attempt, for who watches. */
function reasonFor({ error }: RunRecord): string {
  return error === undefined ? 'the attempt before it broke off' : `${error.code}: ${error.message}`;
}

/** A run that had its final status when its worker died: BullMQ is told now. It may have left a response running, and unbooked. */
async function endedBefore(
  record: RunRecord,
  purchase: Purchase | undefined,
  attempt: Attempt,
): Promise<Outcome> {
  if (record.status !== 'completed' && purchase !== undefined) {
    await attempt.record.finish({ status: 'cancelled', spent: await spentUntilStopped(purchase, attempt) });
  }
  return outcomeOf(record.status ?? 'failed', record);
}

interface CheckedJob {
  body: Record<string, unknown>;
  stream: boolean;
  timeoutMs: number;
  /** In milliseconds; infinity: there is none. */
  deadlineAt: number;
}

/** @throws {TerminalError} `invalid_request`: a producer of another language may have written anything. */
function checkedJob({ data, model }: Attempt, upstreamModel: string): CheckedJob {
  let checked: JobData;
  try {
    checked = parseJobData(data);
  } catch (error: unknown) {
    if (error instanceof QueueError)
      throw new TerminalError('invalid_request', error.message, { cause: error });
    throw error;
  }
  return {
    body: responsesBodyFrom(checked, upstreamModel),
    stream: checked.stream ?? true,
    timeoutMs: checked.timeout_ms ?? model.timeoutMs,
    deadlineAt: checked.deadline === undefined ? Number.POSITIVE_INFINITY : Date.parse(checked.deadline),
  };
}

/** What an earlier create has bought, if it can be found, or else what is bought now; and what that one has bought, if its answer is lost. */
async function obtain(
  record: RunRecord,
  job: CheckedJob,
  attempt: Attempt,
  setUnresolved: (now: boolean) => void,
): Promise<Purchase> {
  const upstreamModel = record.grant ?? attempt.model.upstream;
  const orphans = attempt.webhooks?.orphans;
  const onPurchase = (what: PurchaseEvent): void => {
    setUnresolved(false);
    // Without Redis for a moment: it is said again in some seconds.
    if (what === 'adopted') attempt.grant.begin(upstreamModel, true).catch(() => {});
    attempt.onPurchase(what);
  };
  const options = { ...attempt, policy: attempt.model, orphans, onPurchase };
  setUnresolved(record.submitting !== undefined);
  const found = await findUncertain(record.submitting, options);
  if (found !== undefined) return found;
  try {
    return await buy({ ...options, ...job });
  } catch (error: unknown) {
    if (!(error instanceof PurchaseUncertainError)) throw error;
    setUnresolved(true);
    const own = await findOwn((await attempt.record.read()).submitting, options);
    if (own === undefined) throw error;
    return own;
  }
}

/** A foreground response that went down with its worker was bought all the same, and nobody will say what it used. */
async function bookLost({ upstreamId, background }: RunRecord, record: RunRecordWriter): Promise<void> {
  if (upstreamId === undefined || background) return;
  await record.save({ upstreamId: undefined }, { responseId: upstreamId, usage: null, costNano: null });
}

/** Whichever comes first: the end of the attempt's own time, of which an adopted response has used up some, or the job's deadline. */
function endInTime(
  purchase: Purchase | undefined,
  { timeoutMs, deadlineAt }: CheckedJob,
  active: ActiveAttempt,
): NodeJS.Timeout {
  const timeoutAt = (purchase?.createdAt ?? Date.now()) + timeoutMs;
  const reason = deadlineAt < timeoutAt ? 'deadline' : 'timeout';
  const leftMs = Math.min(deadlineAt, timeoutAt) - Date.now();
  if (leftMs <= 0) active.interrupt(reason);
  active.signal.throwIfAborted();
  return setTimeout(() => active.interrupt(reason), leftMs);
}

async function followToItsEnd(
  { running, ...position }: Purchase,
  { active, upstream, record, model, webhooks, journalPace }: Attempt,
): Promise<UpstreamResponse> {
  if (running.background) active.canBeAdopted();
  const { createdAt } = position;
  const identity = { ...identityOf(running), createdAt };
  const onProgress = async (progress: RunProgress): Promise<void> => {
    // The identity again: a Redis that was restarted may have forgotten its last second.
    const { cancelRequested } = await record.save({ ...identity, ...progress });
    if (cancelRequested) active.interrupt('cancelled');
  };
  active.signal.throwIfAborted();
  const eventLogWriter = createEventLogWriter({ record, active, pace: journalPace, identity });
  try {
    return await follow(running, {
      upstream,
      signal: active.signal,
      ...position,
      stallMs: model.stallMs,
      news: webhooks?.news,
      eventLogWriter,
      onProgress,
    });
  } finally {
    eventLogWriter.stop();
  }
}
