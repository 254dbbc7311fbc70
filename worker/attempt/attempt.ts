import { discountOf, windowNamed } from '../../src/job/completion-window.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import { wellFormed } from '../../src/responses/well-formed.ts';
import type { RunProgress, RunRecord } from '../../src/run/record.ts';
import { usdFrom } from '../../src/usage/usd.ts';
import { withoutFencingToken } from '../upstream/openai-events.ts';
import { bodyInWindow, buysAgainAt, isTooLate, limitMs, usedWindow, windowOf } from '../windows/window.ts';
import { Interruption } from './active-attempt.ts';
import {
  type Attempt,
  type AttemptContext,
  type CheckedJob,
  checkJob,
  startAttempt,
  stopLate,
} from './attempt-state.ts';
import { createEventLogWriter, type EventLogWriter } from './event-log-writer.ts';
import { outcomeOfError, putBackLate } from './failed-attempt.ts';
import { type FollowOptions, follow } from './follow.ts';
import { createHeard, withHeard } from './heard.ts';
import { endFrom, type Outcome, outcomeOf, writeDown } from './outcome.ts';
import { adoptOrBuy } from './purchase/buy.ts';
import { beginPrepared } from './purchase/prepared-create.ts';
import { identityOf, type Purchase, purchaseToAdopt } from './purchase/purchase.ts';
import { bodyIn, bytesIn, estimateOf, spentByNow } from './purchase/spent.ts';
import { waitForFollower } from './purchase/uncertain-purchase.ts';

/**
 * runAttempt runs one attempt of a job. It begins with the job's record, adopts a running response or buys
 * one, and stores the outcome. The spans of the attempt end with it.
 */
export function runAttempt(context: AttemptContext): Promise<Outcome> {
  return context.trace.until(() => untilItsEnd(context));
}

async function untilItsEnd(context: AttemptContext): Promise<Outcome> {
  const attempt = startAttempt(context);
  try {
    const { record, outcome } = await begin(attempt);
    if (outcome !== undefined) return outcome;
    if (attempt.prepared === undefined) await renewReservation(attempt);
    const checked = attempt.prepared?.job ?? checkJob(attempt);
    const job = { ...checked, body: bodyInWindow(checked.body, attempt.window, checked.continuation) };
    startTimeLimit(job, attempt);
    const purchase = await adoptOrBuy(job, record, attempt);
    const response = await followToTheEnd(purchase, attempt);
    if (wasStoppedLate(response, attempt)) return await putBackLate(response, attempt);
    return await conclude(response, attempt);
  } catch (error: unknown) {
    return await outcomeOfError(error, attempt);
  } finally {
    attempt.close();
  }
}

/** Reads the record, and returns the outcome of a job that needs no attempt. */
async function begin(attempt: Attempt): Promise<{ record: RunRecord; outcome?: Outcome }> {
  const { state, record } = await beginPrepared(attempt);
  attempt.upstreamModel = record.reservedModel ?? attempt.model.upstream;
  attempt.reservedTokens = record.reservedTokens;
  chooseWindow(record, attempt);
  attempt.discount = discountOf(attempt.completionWindow, attempt.model.completionWindows);
  if (record.status !== 'completed') await loseForegroundResponse(record, attempt);
  // Nothing is bought now, or only much later, so the reservation of an earlier worker is given back.
  if (state !== 'open' || record.cancelRequested) await attempt.reservation.giveBack();
  if (state === 'unreserved') return { record, outcome: postponed(attempt) };
  attempt.number = record.attempt;
  attempt.trace.begun(record.attempt, record.attemptTrace);
  attempt.purchase = purchaseToAdopt(record, attempt.now());
  if (attempt.purchase !== undefined) attempt.streamedBytes = record.streamedBytes;
  enterWindow(attempt);
  if (state === 'finished') return { record, outcome: await repeatEnd(record, attempt) };
  if (record.cancelRequested) throw new Interruption('cancelled');
  return { record };
}

/** Sets the window of the response that is adopted or bought. */
function chooseWindow({ upstreamId, purchaseMark, completionWindow }: RunRecord, attempt: Attempt): void {
  attempt.lateAt = buysAgainAt(attempt.data);
  const isUnbought = upstreamId === undefined && purchaseMark === undefined;
  const isSoonest = isUnbought && isTooLate({ lateAt: attempt.lateAt, now: attempt.now() });
  const chosen = isSoonest ? 'soonest' : completionWindow;
  attempt.window = windowOf(chosen, bodyIn(attempt.data), attempt);
  attempt.completionWindow = chosen ?? windowNamed(attempt.window?.name);
}

/** A response within a window takes no place of the other responses: neither of the quota nor of this worker. */
function enterWindow({ window, purchase, reservation, active, now }: Attempt): void {
  if (window === undefined) return;
  reservation.enterWindow(window.name, purchase && now() - purchase.createdAt);
  active.markWindowed();
}

/**
 * Books a foreground response that was lost with its worker: it was bought, and its usage is estimated.
 * @throws {LockLostError} when its worker lives and takes the job back.
 */
async function loseForegroundResponse(record: RunRecord, attempt: Attempt): Promise<void> {
  const { upstreamId, background, streamedBytes, status, cancelRequested } = record;
  if (upstreamId === undefined || background) return;
  if (status === undefined && !cancelRequested) await waitForFollower(attempt);
  const estimate = estimateOf({ ...attempt, streamedBytes }, { id: upstreamId });
  const spent = { responseId: upstreamId, usage: null, cost: null, estimate };
  await attempt.writer.save({ upstreamId: undefined }, spent);
}

/**
 * Returns the outcome of a job without a reservation. A job whose data is invalid or whose deadline has
 * passed need not wait for one.
 */
function postponed(attempt: Attempt): Outcome {
  attempt.deadlineAt = checkJob(attempt).deadlineAt;
  if (attempt.now() >= attempt.deadlineAt) throw new Interruption('deadline');
  return { kind: 'postponed' };
}

/**
 * Returns the outcome of a run that already had its final status when its worker died, before that worker
 * reported it to BullMQ. The worker may have left a response that still runs and is not booked.
 */
async function repeatEnd(record: RunRecord, attempt: Attempt): Promise<Outcome> {
  if (record.status !== 'completed' && attempt.purchase !== undefined) {
    await attempt.writer.finish({ status: 'cancelled', spent: await spentByNow(attempt) });
  }
  return outcomeOf(record.status ?? 'failed', record);
}

async function renewReservation({ reservation, upstreamModel, purchase }: Attempt): Promise<void> {
  await reservation.renew(upstreamModel, purchase !== undefined);
}

/**
 * Interrupts the attempt at its timeout or at the job's deadline, whichever comes first. An adopted response
 * has used up some of the timeout.
 */
function startTimeLimit({ timeoutMs, deadlineAt }: CheckedJob, attempt: Attempt): void {
  const { active, model, purchase, window } = attempt;
  const now = attempt.now();
  attempt.deadlineAt = deadlineAt;
  const mostMs = timeoutMs ?? (window === undefined ? model.timeoutMs : limitMs(window));
  const timeoutAt = (purchase?.createdAt ?? now) + mostMs;
  const reason = deadlineAt < timeoutAt ? 'deadline' : 'timeout';
  const leftMs = Math.min(deadlineAt, timeoutAt) - now;
  if (leftMs <= 0) active.interrupt(reason);
  active.signal.throwIfAborted();
  attempt.timeLimit = setTimeout(() => active.interrupt(reason), leftMs);
}

async function followToTheEnd(purchase: Purchase, attempt: Attempt): Promise<UpstreamResponse> {
  const { active, writer, model, openAiEvents, eventLogPace, window } = attempt;
  const { running } = purchase;
  if (running.background) active.markAdoptable();
  const identity = identityOf(purchase, attempt);
  const onProgress = async (progress: RunProgress): Promise<void> => {
    // The response's identity is written again, because a Redis that restarted may have lost the writes of
    // its last second.
    const { cancelRequested } = await writer.save({ ...identity, ...progress });
    if (cancelRequested) active.interrupt('cancelled');
  };
  active.signal.throwIfAborted();
  /** Made at the first event: a polled response has none. */
  let eventLogWriter: EventLogWriter | undefined;
  const heard = createHeard(purchase.outputCharacters);
  const add: EventLogWriter['add'] = (event, progress) => {
    heard.add(event);
    const bytes = bytesIn(event);
    if (bytes > 0 && attempt.streamedBytes === 0) {
      attempt.trace.heard();
      attempt.onFirstToken(Math.max(0, attempt.now() - purchase.createdAt));
    }
    attempt.streamedBytes += bytes;
    eventLogWriter ??= createEventLogWriter({
      ...{ writer, active, pace: eventLogPace, identity },
      isResumable: running.background && running.streamed,
    });
    eventLogWriter.add(event, { ...progress, streamedBytes: attempt.streamedBytes });
  };
  const flush = async (): Promise<void> => eventLogWriter?.flush();
  try {
    const response = await follow(running, {
      cursor: purchase.cursor,
      outputCharacters: purchase.outputCharacters,
      createdAt: purchase.createdAt,
      upstream: attempt.trace.isAdopting ? tracedLookups(attempt) : attempt.upstream,
      openAiEvents,
      eventLogWriter: { add },
      onProgress,
      signal: active.signal,
      // Within a window the upstream may say nothing for hours. Only the time limit ends such an attempt.
      stallMs: window === undefined ? model.stallMs : limitMs(window),
      isWindowed: window !== undefined,
      late: window && { at: attempt.lateAt, stop: () => stopLate(attempt) },
      now: attempt.now,
    });
    // The final response has the whole answer. Only the log has that of a response that ended without one, and
    // the events of types that are not known.
    const isUnanswered = response.status === 'failed' || response.status === 'cancelled';
    if (isUnanswered || eventLogWriter?.hasMoreThanResponse) await flush();
    return await withHeard(wellFormed(response), heard, { flush }, writer);
  } catch (error: unknown) {
    await flush();
    throw error;
  } finally {
    eventLogWriter?.stop();
  }
}

/** Returns the upstream of an attempt that adopts: its first lookup of the response has a span. */
function tracedLookups({ upstream, trace }: Attempt): FollowOptions['upstream'] {
  const { lostMs, lookups, windowedLookups } = upstream;
  return {
    ...{ lostMs, lookups, windowedLookups },
    retrieve: (...args) => trace.lookup(() => upstream.retrieve(...args)),
    resume: (...args) => trace.lookup(() => upstream.resume(...args)),
  };
}

/**
 * Returns whether the response was cancelled because the answer is late. A worker that died may have sent that
 * cancel, so the status and the time decide.
 */
function wasStoppedLate({ status }: UpstreamResponse, { window, lateAt, now }: Attempt): boolean {
  return status === 'cancelled' && window !== undefined && now() >= lateAt;
}

/** Stores what the end of the response means for its job. */
async function conclude(response: UpstreamResponse, attempt: Attempt): Promise<Outcome> {
  const simulated = attempt.purchase?.running.simulated ?? false;
  const tookMs = attempt.now() - (attempt.purchase?.createdAt ?? attempt.now());
  // The response has ended: a failure from here on does not cancel it.
  attempt.purchase = undefined;
  attempt.ended = response;
  const { model, upstreamModel } = attempt;
  const fallbackFrom = upstreamModel === model.upstream ? null : model.upstream;
  const end = endFrom(withoutFencingToken(response), attempt, {
    ...{ fallbackFrom, simulated },
    estimate: estimateOf(attempt, response),
  });
  attempt.trace.sawEnd(response, simulated ? 0 : usdFrom(end.spent?.cost?.nano));
  const outcome = await writeDown(end, attempt.writer);
  if (outcome.kind !== 'completed') return outcome;
  return { ...outcome, answered: { tookMs, window: usedWindow(response, attempt.window, tookMs) } };
}
