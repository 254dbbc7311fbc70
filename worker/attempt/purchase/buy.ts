import { randomUUID } from 'node:crypto';
import { LockLostError } from '../../../src/run/purchase-hold.ts';
import type { RunRecord } from '../../../src/run/record.ts';
import type { ChatRequest } from '../../../src/tracing/chat-attributes.ts';
import { PostponedError } from '../../reservation/reservation.ts';
import { PurchaseUncertainError } from '../../upstream/errors.ts';
import { withFencingToken } from '../../upstream/openai-events.ts';
import type { RunningResponse } from '../../upstream/running-response.ts';
import { WindowRefusedError } from '../../upstream/window-refusal.ts';
import { Interruption } from '../active-attempt.ts';
import { type Attempt, type CheckedJob, stopPurchase } from '../attempt-state.ts';
import { newPurchase, type Purchase, purchaseToAdopt } from './purchase.ts';
import { spentUncertain } from './spent.ts';
import { adoptLate, findEarlierPurchase, findOwnPurchase, storeResponseId } from './uncertain-purchase.ts';

/**
 * adoptOrBuy returns the response to follow. It first looks for what an earlier create may have bought, and
 * buys only when it finds nothing.
 */
export async function adoptOrBuy(job: CheckedJob, record: RunRecord, attempt: Attempt): Promise<Purchase> {
  const { purchase } = attempt;
  if (purchase !== undefined) {
    attempt.trace.adopting(tracedRequest(job, attempt), purchase.trace);
    attempt.onPurchase('adopted');
    return purchase;
  }
  const isLate = record.purchases > 0 && attempt.now() >= attempt.lateAt;
  const isAgain = attempt.number > 1 || (record.purchases > 0 && record.error !== undefined) || isLate;
  if (isAgain) await attempt.writer.append({ reason: reasonFor(record, isLate) }, {});
  const earlier = await findEarlierPurchase(record.purchaseMark, attempt);
  if (earlier === undefined) return buyOnce(job, attempt);
  attempt.trace.adopting(tracedRequest(job, attempt), earlier.trace);
  return earlier;
}

/** Returns what a span says of the create of an attempt, or of the response that it adopts. */
function tracedRequest({ body, stream }: CheckedJob, attempt: Attempt): ChatRequest {
  const { upstream, upstreamModel, window } = attempt;
  return { body, upstreamModel, stream, address: upstream.address, window: window?.name };
}

/** Returns why the new attempt begins, for readers of the job's events. */
function reasonFor({ error }: RunRecord, isLate: boolean): string {
  if (error !== undefined) return `${error.code}: ${error.message}`;
  return isLate ? 'the answer is late, and is bought again' : 'the previous attempt broke off';
}

/**
 * Sends one create. When its answer is lost, looks for the response that it bought.
 * @throws {PurchaseUncertainError} when that response is not found.
 */
async function buyOnce(job: CheckedJob, attempt: Attempt): Promise<Purchase> {
  try {
    return await buyInSlot(job, attempt);
  } catch (error: unknown) {
    if (!(error instanceof PurchaseUncertainError)) throw error;
    attempt.isUncertain = true;
    const own = await findOwnPurchase((await attempt.writer.read()).purchaseMark, attempt);
    if (own === undefined) throw error;
    attempt.trace.adopting(tracedRequest(job, attempt), own.trace);
    return own;
  }
}

async function buyInSlot(job: CheckedJob, attempt: Attempt): Promise<Purchase> {
  const { upstream, active, alias: model, tenant } = attempt;
  const release =
    attempt.prepared?.release ??
    (await upstream.slots.acquire({ model, tenant }, active.stopRequested)) ??
    (() => {});
  try {
    active.assertMayCreate();
    return await buy(job, attempt, release);
  } finally {
    release();
  }
}

/**
 * buy is the only function that spends money. It writes the purchase mark, sends the create, and stores the
 * response's id.
 *
 * A crash before the mark leaves nothing. A crash between mark and id leaves a mark without an id: an
 * uncertain purchase for the next worker. A crash after the id leaves a response that the next worker adopts.
 */
async function buy(job: CheckedJob, attempt: Attempt, onSlow: () => void): Promise<Purchase> {
  const { lostResponses, prepared } = attempt;
  attempt.reservation.assertUnspent();
  attempt.prepared = undefined;
  const fencingToken = prepared?.fencingToken ?? randomUUID();
  const earlier = prepared === undefined ? await mark(fencingToken, attempt) : undefined;
  if (earlier !== undefined) {
    attempt.trace.adopting(tracedRequest(job, attempt), earlier.trace);
    return adoptLate(earlier, attempt);
  }
  // Only a webhook can lead to a response by its token, so without webhooks the token is not sent.
  const body = lostResponses === undefined ? job.body : withFencingToken(job.body, fencingToken);
  attempt.trace.buying(tracedRequest(job, attempt));
  const running = await create({ ...job, body }, attempt, onSlow);
  attempt.purchase = newPurchase(running, attempt.now(), attempt.trace.purchase);
  attempt.streamedBytes = 0;
  await keep(attempt.purchase, fencingToken, attempt);
  return attempt.purchase;
}

/**
 * Writes the purchase mark, and records that the create is about to be sent.
 * @returns the response of an earlier create, when its id has arrived after all.
 */
async function mark(fencingToken: string, attempt: Attempt): Promise<Purchase | undefined> {
  const { writer, reservation } = attempt;
  const [marked] = await Promise.all([
    writer.markPurchase(fencingToken, spentUncertain(attempt)),
    reservation.sent(),
  ]);
  if (marked.kind === 'finished' || marked.kind === 'cancel-requested') throw new Interruption('cancelled');
  const earlier = marked.kind === 'purchased' ? purchaseToAdopt(marked.record, attempt.now()) : undefined;
  if (earlier !== undefined) return earlier;
  if (marked.kind === 'ok' && marked.replaced) attempt.onPurchase('uncertain');
  attempt.isUncertain = false;
  return undefined;
}

/**
 * Sends the create. When the upstream itself refuses it, nothing was bought, so the purchase mark is removed.
 * A create without an answer keeps its mark.
 */
async function create(
  { body, stream }: CheckedJob,
  attempt: Attempt,
  onSlow: () => void,
): Promise<RunningResponse> {
  const { upstream, writer, active, reservation, model, trace } = attempt;
  const use = { background: model.background, stream: model.stream };
  try {
    // The job may have been cancelled while the mark was written.
    active.assertMayCreate();
    const options = { stream, signal: active.signal, onSlow, use };
    const running = await trace.inChat(() => upstream.create(body, options));
    // A server that does not know windows may ignore them, and answer in the foreground at the full price.
    if (attempt.window !== undefined && !running.background) await leaveWindow(attempt);
    reservation.accepted(running.limits);
    return running;
  } catch (error: unknown) {
    if (error instanceof PurchaseUncertainError) {
      // A connection that we closed ourselves says nothing about the upstream.
      if (!active.signal.aborted) await reservation.report({ what: 'failed' });
      throw error;
    }
    const allWait = await reservation.refused(error);
    if (error instanceof WindowRefusedError && attempt.window?.isCallers === false) {
      await dropWindow(attempt);
      throw new PostponedError({ cause: error });
    }
    await writer.save({ purchaseMark: undefined });
    throw allWait ? new PostponedError({ cause: error }) : error;
  }
}

/**
 * dropWindow records that the upstream has refused the window that the queue chose. The job goes back into
 * the fair queue, uncharged, and gets a reservation without a window.
 *
 * A crash before the first write leaves a purchase mark; the upstream has refused that create, so looking for
 * its response finds nothing. A crash between the two leaves the same mark, and dispatchers that know.
 */
async function dropWindow({ reservation, upstreamModel, writer }: Attempt): Promise<void> {
  await reservation.windowRefused(upstreamModel);
  await writer.save({ purchaseMark: undefined, completionWindow: 'soonest' });
}

/** leaveWindow records that the upstream has ignored the window: the response costs the full price. */
async function leaveWindow(attempt: Attempt): Promise<void> {
  attempt.window = undefined;
  attempt.completionWindow = 'soonest';
  attempt.discount = 0;
  // What is lost here is only that other jobs are spared the same.
  await attempt.reservation.windowRefused(attempt.upstreamModel).catch(() => {});
}

async function keep(purchase: Purchase, fencingToken: string, attempt: Attempt): Promise<void> {
  const { active, onPurchase } = attempt;
  try {
    const stored = await storeResponseId(purchase, fencingToken, attempt).finally(() => onPurchase('bought'));
    switch (stored) {
      case 'ok':
        break;
      case 'finished':
      case 'cancel-requested':
        active.interrupt('cancelled');
        break;
      case 'superseded':
        throw new Interruption('lock lost');
      default: {
        const never: never = stored;
        throw new Error(`unknown answer ${String(never)}`);
      }
    }
  } catch (error: unknown) {
    await purchase.running.events?.return(undefined);
    // After a lost lock, the record has the id, and the next worker adopts the response. Otherwise no record
    // has the id, so the response is cancelled here.
    if (!(error instanceof LockLostError)) await stopPurchase(attempt);
    throw error;
  }
}
