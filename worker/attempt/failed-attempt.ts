import { backoffDelayMs, weatherDelayMs } from '../../src/config/backoff.ts';
import {
  concernOf,
  type Failure,
  isFailure,
  RetryableError,
  TerminalError,
} from '../../src/errors/failure.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import { LockLostError } from '../../src/run/purchase-hold.ts';
import type { RunProgress } from '../../src/run/record.ts';
import type { Spent } from '../../src/run/spent.ts';
import { PostponedError } from '../reservation/reservation.ts';
import { PurchaseUncertainError } from '../upstream/errors.ts';
import { Interruption } from './active-attempt.ts';
import { type Attempt, stopPurchase } from './attempt-state.ts';
import { type Outcome, writeDown } from './outcome.ts';
import { withholdPrepared } from './purchase/prepared-create.ts';
import { spentAt, spentByNow, spentUncertain, spentUnseen } from './purchase/spent.ts';

/**
 * outcomeOfError turns the error that ended an attempt into the attempt's outcome, and stores it. It rethrows
 * an unexpected error. BullMQ then tries the job again while attempts are left, and the next attempt adopts
 * the response if its id is stored.
 */
export async function outcomeOfError(error: unknown, attempt: Attempt): Promise<Outcome> {
  const outcome = await outcomeOfCause(error, attempt);
  // The purchase counts as uncertain only once the job has ended. Until then the next attempt, or another
  // worker, looks for the response.
  if (attempt.isUncertain && isEnd(outcome)) attempt.onPurchase('uncertain');
  return outcome;
}

function isEnd({ kind }: Outcome): boolean {
  return kind === 'failed' || kind === 'cancelled';
}

async function outcomeOfCause(error: unknown, attempt: Attempt): Promise<Outcome> {
  // An aborted signal is the cause of every later error, because closed connections throw errors of many
  // kinds.
  const { signal } = attempt.active;
  const cause: unknown = signal.aborted && !(error instanceof LockLostError) ? signal.reason : error;
  try {
    await withholdPrepared(attempt);
    if (cause instanceof Interruption) return await interrupted(cause, attempt);
    if (cause instanceof PostponedError) {
      await attempt.writer.save({ reservedModel: undefined });
      return { kind: 'postponed' };
    }
    if (cause instanceof PurchaseUncertainError)
      return await failed(cause.failure, spentUncertain(attempt), attempt, CREATE_ABANDONED);
    if (isFailure(cause)) return await failedWith(cause, attempt);
    if (cause instanceof LockLostError) return { kind: 'lost' };
  } catch (second: unknown) {
    if (second instanceof LockLostError) return { kind: 'lost' };
    throw second;
  }
  throw error;
}

/**
 * Decides whether a failure uses up one of the job's attempts. It does not when all jobs meet the failure, or
 * when the job only has to wait until the failure is over.
 */
async function failedWith(failure: Failure, attempt: Attempt): Promise<Outcome> {
  const { reservation, ended, purchase } = attempt;
  const isInside = ended !== undefined || purchase !== undefined;
  if (!isInside) return (await heldBack(failure, attempt)) ?? brokenOff(failure, attempt);
  // The failure of a create request has been reported already.
  const allWait = await reservation.failedInside(failure);
  return allWait ? postponedInside(failure, attempt) : brokenOff(failure, attempt);
}

/**
 * postponedInside books the ended response, and puts the job back to wait with all others. The stored error
 * shows readers why the job begins again.
 */
async function postponedInside(failure: Failure, attempt: Attempt): Promise<Outcome> {
  const { writer, ended, alias } = attempt;
  const spent = ended === undefined ? spentUnseen(attempt, failure) : spentAt(ended, attempt);
  const error = { code: failure.code, message: messageOf(failure, alias), retryable: failure.retryable };
  await writer.save({ ...RESPONSE_GONE, reservedModel: undefined, error }, spent);
  await stopPurchase(attempt);
  return { kind: 'postponed' };
}

/**
 * putBackLate books a response that was cancelled because its answer is late (`on_late: "buy_again"`), and puts
 * the job back, uncharged. Its next start buys without a window, because `needed_by` has passed.
 */
export async function putBackLate(response: UpstreamResponse, attempt: Attempt): Promise<Outcome> {
  attempt.purchase = undefined;
  attempt.ended = response;
  const gone: RunProgress = { ...RESPONSE_GONE, reservedModel: undefined, completionWindow: 'soonest' };
  await attempt.writer.save(gone, spentAt(response, attempt));
  return { kind: 'postponed' };
}

const LONGEST_HOLD_MS = 60_000;

/**
 * heldBack delays a job while the conversation that the job continues is in use at the upstream. The delay is
 * as long as the job has waited for the conversation so far. heldBack returns undefined for any other
 * failure, and when the job has waited longer than an answer may take.
 */
async function heldBack(failure: Failure, attempt: Attempt): Promise<Outcome | undefined> {
  if (!(failure instanceof RetryableError) || concernOf(failure) !== 'job for now') return undefined;
  const { writer, model, deadlineAt } = attempt;
  const now = attempt.now();
  const busySince = (await writer.read()).busySince ?? now;
  const waitedMs = now - busySince;
  const delayMs = Math.max(
    failure.retryAfterMs ?? 0,
    Math.min(Math.max(waitedMs, model.backoff.baseMs), LONGEST_HOLD_MS),
  );
  if (waitedMs > model.timeoutMs || now + delayMs >= deadlineAt) return undefined;
  const error = { code: failure.code, message: failure.message, retryable: true };
  await writer.save({ busySince, reservedModel: undefined, error });
  return { kind: 'held', failure, delayMs };
}

async function interrupted({ reason }: Interruption, attempt: Attempt): Promise<Outcome> {
  switch (reason) {
    case 'cancelled':
      return writeDown(
        { status: 'cancelled', spent: (await spentByNow(attempt)) ?? spentUncertain(attempt) },
        attempt.writer,
      );
    case 'timeout':
    case 'deadline':
      return failed(tooLate(reason, attempt), await spentByNow(attempt), attempt);
    case 'shutdown':
      await giveUpForeground(attempt);
      return { kind: 'released' };
    case 'lock lost':
      return { kind: 'lost' };
    default: {
      const never: never = reason;
      throw new Error(`unknown interruption ${String(never)}`);
    }
  }
}

/**
 * Books a foreground response, which ends with this attempt. The next worker then need not wait to see
 * whether this worker still follows it.
 */
async function giveUpForeground(attempt: Attempt): Promise<void> {
  const { purchase, ended, writer } = attempt;
  if (purchase?.running.background !== false) return;
  await writer.save(RESPONSE_GONE, ended === undefined ? spentUnseen(attempt) : spentAt(ended, attempt));
}

function tooLate(reason: 'timeout' | 'deadline', { purchase, isUncertain }: Attempt): TerminalError {
  const unbought = isUncertain
    ? 'a create request was sent and its answer was lost, so a response may have been bought and may still run'
    : 'nothing was running';
  const fate = purchase === undefined ? unbought : 'its response was cancelled';
  return reason === 'timeout'
    ? new TerminalError('timeout', `The attempt took longer than its timeout; ${fate}`)
    : new TerminalError('deadline_passed', `The deadline of the job has passed; ${fate}`);
}

/**
 * The purchase mark stays, so that the response can still be found by its fencing token. The sender of the
 * create no longer waits for the answer.
 */
const CREATE_ABANDONED: RunProgress = { purchaseMarkAbandoned: true };
/** The next attempt must not adopt a response that has failed. */
const RESPONSE_GONE: RunProgress = { upstreamId: undefined, upstreamStatus: undefined };

async function brokenOff(failure: Failure, attempt: Attempt): Promise<Outcome> {
  const { ended } = attempt;
  const isRunning = maybeStillRunning(failure, attempt);
  const spent = ended === undefined ? spentUnseen(attempt, failure) : spentAt(ended, attempt);
  const outcome = await failed(failure, spent, attempt, isRunning ? {} : RESPONSE_GONE);
  // Only now is it certain that no other worker follows the response.
  if (!isRunning || isEnd(outcome)) await stopPurchase(attempt);
  return outcome;
}

/**
 * Returns whether the upstream may still have the response, because it cannot be reached. The next attempt
 * then looks the response up before it buys another one.
 */
function maybeStillRunning({ code }: Failure, { purchase }: Attempt): boolean {
  return code === 'upstream_silent' && purchase?.running.background !== false;
}

/** Fails the job, or returns the delay until its next attempt. Until then the record shows this failure. */
async function failed(
  failure: Failure,
  spent: Spent | null,
  attempt: Attempt,
  progress: RunProgress = {},
): Promise<Outcome> {
  const { writer, number, maxAttempts, alias, model, deadlineAt } = attempt;
  const error = { code: failure.code, message: messageOf(failure, alias), retryable: failure.retryable };
  if (failure instanceof RetryableError && number < maxAttempts) {
    const delayOf = concernOf(failure) === 'weather' ? weatherDelayMs : backoffDelayMs;
    const delayMs = delayOf(model.backoff, number, failure.retryAfterMs);
    if (attempt.now() + delayMs >= deadlineAt)
      error.message += '; the next attempt would begin after the deadline';
    else {
      const isRunning = maybeStillRunning(failure, attempt);
      // The next attempt adopts a running response, under the reservation of its create.
      const kept = isRunning ? {} : { reservedModel: undefined };
      const { cancelRequested } = await writer.save(
        { ...progress, ...kept, busySince: undefined, error, attemptTrace: attempt.trace.attempt },
        isRunning ? null : spent,
      );
      if (!cancelRequested) return { kind: 'retry', failure, attempt: number, delayMs };
    }
  }
  const all = spent ?? spentUncertain(attempt);
  return writeDown({ status: 'failed', error, spent: all, refusal: failure.refusal }, writer);
}

/** Returns the upstream's own message, and the setting to change if a setting would help. */
function messageOf({ code, message }: Failure, alias: string): string {
  if (code !== 'model_not_found') return message;
  const end = /[.!?]$/.test(message) ? '' : '.';
  const setting = `models.${alias}`;
  return `${message}${end} No fallback is left: set ${setting}.upstream, or add to ${setting}.fallbacks, in o3q.config.json`;
}
