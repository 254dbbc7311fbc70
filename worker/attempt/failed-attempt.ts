import { backoffDelayMs } from '../../src/config/backoff.ts';
import type { ModelConfig } from '../../src/config/file.ts';
import { type Failure, isFailure, RetryableError, TerminalError } from '../../src/errors/failure.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { RunProgress, Spent } from '../../src/run/record.ts';
import { LockLostError, type RunRecordWriter } from '../../src/run/writer.ts';
import type { PriceList } from '../../src/usage/price.ts';
import { PostponedError } from '../reservation/postponed-error.ts';
import { reportOf } from '../reservation/quota-report.ts';
import type { Reservation } from '../reservation/reservation.ts';
import type { Upstream } from '../upstream/client.ts';
import { PurchaseUncertainError } from '../upstream/purchase-uncertain-error.ts';
import { Interruption } from './active-attempt.ts';
import { type Outcome, writeDown } from './outcome.ts';
import { type Purchase, stopSpending } from './purchase.ts';
import { spentUnseen, spentUntilStopped } from './purchase-spent.ts';
import { spentOn } from './spent.ts';

/** How far an attempt had come when it broke off. */
export interface FailedAttempt {
  record: RunRecordWriter;
  upstream: Upstream;
  prices: PriceList;
  signal: AbortSignal;
  grant: Pick<Reservation, 'report'>;
  attempt: number;
  /** After so many a retryable failure is final too. */
  maxAttempts: number;
  /** In milliseconds; no attempt begins after it. */
  deadlineAt: number;
  /** By which the model is asked for. */
  alias: string;
  model: Pick<ModelConfig, 'backoff'>;
  /** What may still be running at the upstream. */
  purchase: Purchase | undefined;
  /** The response that has ended, but not its job. */
  ended: UpstreamResponse | undefined;
  /** A create was sent, and nobody knows what became of it. */
  unresolved: boolean;
  onPurchase: (what: 'uncertain') => void;
}

/**
 * Turns whatever broke an attempt off into its outcome. What nobody expected is thrown on: BullMQ tries again, as often as attempts are
 * allowed, and a response that is known by then is adopted.
 */
export async function outcomeOfError(error: unknown, unfinished: FailedAttempt): Promise<Outcome> {
  const outcome = await explained(error, unfinished);
  // The next attempt, or the next worker, still looks for what was bought. After an end nobody does.
  if (unfinished.unresolved && isEnd(outcome)) unfinished.onPurchase('uncertain');
  return outcome;
}

function isEnd({ kind }: Outcome): boolean {
  return kind === 'failed' || kind === 'cancelled';
}

async function explained(error: unknown, unfinished: FailedAttempt): Promise<Outcome> {
  // An aborted signal explains every error after it: connections that were closed throw all sorts of things.
  const { signal } = unfinished;
  const cause: unknown = signal.aborted && !(error instanceof LockLostError) ? signal.reason : error;
  try {
    if (cause instanceof Interruption) return await interrupted(cause, unfinished);
    if (cause instanceof PostponedError) {
      await unfinished.record.save({ grant: undefined });
      return { kind: 'postponed' };
    }
    if (cause instanceof PurchaseUncertainError)
      return await failed(cause.failure, null, unfinished, GIVEN_UP);
    if (isFailure(cause)) {
      if (cause.code === 'rate_limited' || cause.code === 'quota_exhausted')
        await unfinished.grant.report(reportOf(cause));
      return await brokenOff(cause, unfinished);
    }
    if (cause instanceof LockLostError) return { kind: 'lost' };
  } catch (second: unknown) {
    if (second instanceof LockLostError) return { kind: 'lost' };
    throw second;
  }
  throw error;
}

async function interrupted({ reason }: Interruption, unfinished: FailedAttempt): Promise<Outcome> {
  const { record } = unfinished;
  switch (reason) {
    case 'cancelled':
      return writeDown({ status: 'cancelled', spent: await spentByNow(unfinished) }, record);
    case 'timeout':
    case 'deadline':
      return failed(tooLate(reason, unfinished), await spentByNow(unfinished), unfinished);
    case 'shutdown':
      return { kind: 'released' };
    case 'lock lost':
      return { kind: 'lost' };
    default: {
      const never: never = reason;
      throw new Error(`unknown interruption ${String(never)}`);
    }
  }
}

/** Of what has ended, or ends now. */
async function spentByNow({ ended, purchase, ...unfinished }: FailedAttempt): Promise<Spent | null> {
  return ended === undefined ? spentUntilStopped(purchase, unfinished) : spentOn(ended, unfinished.prices);
}

function tooLate(reason: 'timeout' | 'deadline', { purchase, unresolved }: FailedAttempt): TerminalError {
  const nothing = unresolved
    ? 'a request had been sent and its answer lost, so that something may have been bought and go on'
    : 'nothing was running';
  const fate = purchase === undefined ? nothing : 'its response was cancelled';
  return reason === 'timeout'
    ? new TerminalError('timeout', `The attempt took longer than its timeout; ${fate}`)
    : new TerminalError('deadline_passed', `The deadline of the job has passed; ${fate}`);
}

/** The mark of the create stays, for whoever looks for what it bought; its sender is done with it. */
const GIVEN_UP: RunProgress = { submittingOver: true };
/** The next attempt must not adopt what has failed. */
const OVER: RunProgress = { upstreamId: undefined, upstreamStatus: undefined };

async function brokenOff(failure: Failure, unfinished: FailedAttempt): Promise<Outcome> {
  const { ended, purchase, prices } = unfinished;
  const lives = mayLive(failure, purchase);
  const spentOnIt = ended === undefined ? spentUnseen(purchase) : spentOn(ended, prices);
  const outcome = await failed(failure, spentOnIt, unfinished, lives ? {} : OVER);
  // Only now is it certain that no other worker follows the response.
  if (!lives || isEnd(outcome)) await stopSpending(purchase, unfinished.upstream);
  return outcome;
}

/** An upstream that is out of reach may still have the response: the next attempt looks it up before it buys. */
function mayLive({ code }: Failure, purchase: Purchase | undefined): boolean {
  return code === 'upstream_silent' && purchase?.running.background !== false;
}

/** Why it failed is shown until the next attempt, if there is one. */
async function failed(
  failure: Failure,
  spentOnIt: Spent | null,
  { record, attempt, maxAttempts, alias, model, deadlineAt, purchase }: FailedAttempt,
  progress: RunProgress = {},
): Promise<Outcome> {
  const error = { code: failure.code, message: messageOf(failure, alias), retryable: failure.retryable };
  if (failure instanceof RetryableError && attempt < maxAttempts) {
    const delayMs = backoffDelayMs(model.backoff, attempt, failure.retryAfterMs);
    if (Date.now() + delayMs >= deadlineAt)
      error.message += '; the next attempt would begin after the deadline';
    else {
      const lives = mayLive(failure, purchase);
      const over = lives ? null : spentOnIt;
      // One that may live is adopted, where it was sent to.
      const kept = lives ? {} : { grant: undefined };
      const { cancelRequested } = await record.save({ ...progress, ...kept, error }, over);
      if (!cancelRequested) return { kind: 'retry', failure, attempt, delayMs };
    }
  }
  return writeDown({ status: 'failed', error, spent: spentOnIt, refusal: failure.refusal }, record);
}

/** The upstream's words, and what to do where it is ours to do. */
function messageOf({ code, message }: Failure, alias: string): string {
  if (code !== 'model_not_found') return message;
  const end = /[.!?]$/.test(message) ? '' : '.';
  return `${message}${end} Nothing takes over: set models.${alias}.upstream, or name what does in models.${alias}.fallbacks, in o3q.config.json`;
}
