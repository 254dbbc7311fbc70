import { randomUUID } from 'node:crypto';
import type { Begun } from '../../../src/run/record.ts';
import { type Attempt, type CheckedJob, checkJob, type PreparedCreate } from '../attempt-state.ts';

/**
 * beginPrepared begins an attempt. If this is the first start of the job, and nothing is in the way of its
 * create, the same flight to Redis marks the create and takes the reservation over. `attempt.prepared` is
 * then the create that `buy` has to send.
 *
 * Two scripts are on their way at once, because the quota is on another slot of a Redis Cluster. A crash
 * after only one of them leaves a purchase mark without an id, or a reservation that counts as spent: the
 * next worker puts the job back into the fair queue.
 *
 * @throws {PostponedError} when the create is marked, but the reservation cannot be used.
 */
export async function beginPrepared(attempt: Attempt): Promise<Begun> {
  const { attemptsMade, model, reservation, writer } = attempt;
  const prepared = await prepareCreate(attempt);
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

/**
 * How long a first attempt waits for a slot before it begins, in milliseconds: shorter than the lease of a
 * reservation that no worker has taken over, which is four seconds.
 */
const SLOT_WAIT_MS = 1000;

/**
 * Waits for a slot for the create. A crash meanwhile leaves what a crash before the attempt leaves: an active
 * job that has bought nothing, and a reservation that ends with its lease.
 *
 * @returns undefined when no slot became free, or when something has to be decided before the create may be
 * sent.
 */
async function prepareCreate(attempt: Attempt): Promise<PreparedCreate | undefined> {
  const { active, alias, isFirstStart, model, reservation, tenant, upstream } = attempt;
  const isOpen = (): boolean => !active.stopRequested.aborted && reservation.isOpen(model.upstream);
  if (!isFirstStart || !isOpen()) return undefined;
  const job = validJob(attempt);
  if (job === undefined || job.deadlineAt <= attempt.now() + SLOT_WAIT_MS) return undefined;
  const release = await upstream.slots.acquire({ model: alias, tenant }, active.stopRequested, SLOT_WAIT_MS);
  if (release === undefined || isOpen()) return release && { fencingToken: randomUUID(), job, release };
  release();
  return undefined;
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
