import { randomUUID } from 'node:crypto';
import type { Begun } from '../../src/run/writer.ts';
import { type Attempt, type CheckedJob, checkJob, type PreparedCreate } from './attempt-state.ts';

/**
 * beginPrepared begins an attempt. If this is the first start of the job, and nothing is in the way of its
 * create, the same flight to Redis marks the create and takes the reservation over. `attempt.prepared` is then
 * the create that `buy` has to send.
 *
 * Two scripts are on their way at once, because the quota is on another slot of a Redis Cluster. A crash after
 * only one of them leaves a purchase mark without an id, or a reservation that counts as spent: the next worker
 * puts the job back into the fair queue.
 *
 * @throws {PostponedError} when the create is marked, but the reservation cannot be used.
 */
export async function beginPrepared(attempt: Attempt): Promise<Begun> {
  const { attemptsMade, model, reservation, writer } = attempt;
  const prepared = prepareCreate(attempt);
  if (prepared === undefined) return writer.begin(attemptsMade);
  attempt.prepared = prepared;
  const { upstream: upstreamModel } = model;
  const [begun, refusal] = await Promise.all([
    writer.begin(attemptsMade, { fencingToken: prepared.fencingToken, upstreamModel }),
    reservation.takeOverToSend(upstreamModel).catch((error: unknown) => ({ error })),
  ]);
  if (!begun.isMarked) {
    prepared.release();
    attempt.prepared = undefined;
  } else if (refusal !== undefined) throw refusal.error;
  return begun;
}

/** Returns undefined when something has to be decided or awaited before the create may be sent. */
function prepareCreate(attempt: Attempt): PreparedCreate | undefined {
  const { active, alias, isFirstStart, model, reservation, tenant, upstream } = attempt;
  if (!isFirstStart || active.stopRequested.aborted || !reservation.isOpen(model.upstream)) return undefined;
  const job = validJob(attempt);
  if (job === undefined || job.deadlineAt <= attempt.now()) return undefined;
  const release = upstream.slots.tryAcquire({ model: alias, tenant });
  return release && { fencingToken: randomUUID(), job, release };
}

/** The attempt itself reports what is wrong with the data of an invalid job. */
function validJob(attempt: Attempt): CheckedJob | undefined {
  try {
    return checkJob(attempt);
  } catch {
    return undefined;
  }
}

/** withholdPrepared removes the purchase mark of a create that will not be sent. */
export async function withholdPrepared(attempt: Attempt): Promise<void> {
  const { prepared, reservation, writer } = attempt;
  if (prepared === undefined) return;
  attempt.prepared = undefined;
  prepared.release();
  reservation.withheld();
  await writer.save({ purchaseMark: undefined });
}
