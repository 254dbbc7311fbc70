import { createWaker } from '../../../src/async/waker.ts';
import { TerminalError } from '../../../src/errors/failure.ts';
import type { PurchaseMark } from '../../../src/run/purchase-mark.ts';
import type { StorePurchaseAnswer } from '../../../src/run/writer.ts';
import { Interruption } from '../active-attempt.ts';
import type { Attempt } from '../attempt-state.ts';
import { identityOf, newPurchase, type Purchase, purchaseToAdopt } from './purchase.ts';

const LOOK_AGAIN_MS = 250;
/**
 * How long an attempt at least looks for a response that an earlier attempt has lost, in milliseconds: the
 * webhooks that came while no worker looked are read first, and each may cost a lookup at the upstream.
 */
const LEAST_WAIT_MS = 5000;

/**
 * findEarlierPurchase looks for the response of an earlier create that left its purchase mark and no id.
 * Either the worker of that create died in the one round trip between them, or the answer was lost.
 *
 * @returns undefined when there was no such create, or when the policy is to buy again. In the second case
 * the new mark replaces the old one, and the old purchase counts as uncertain.
 * @throws {TerminalError} `purchase_uncertain` when the policy is to fail.
 */
export async function findEarlierPurchase(
  purchaseMark: PurchaseMark | undefined,
  attempt: Attempt,
): Promise<Purchase | undefined> {
  attempt.isUncertain = purchaseMark !== undefined;
  // The attempt that sent the create has already looked for the response.
  if (purchaseMark === undefined || purchaseMark.sender === 'gave-up') return undefined;
  const late = purchaseMark.sender === 'dead' ? undefined : await waitForSender(attempt);
  return late ?? findOwnPurchase(purchaseMark, attempt, remainingWaitMs(purchaseMark, attempt));
}

/**
 * remainingWaitMs counts the wait for the webhook from the create, not from the start of this attempt: each
 * worker that is killed during the wait would otherwise begin it anew.
 */
function remainingWaitMs({ at }: PurchaseMark, { model: { uncertainWaitMs }, now }: Attempt): number {
  return Math.max(Math.min(LEAST_WAIT_MS, uncertainWaitMs), uncertainWaitMs - (now() - at));
}

/**
 * findOwnPurchase looks for the response of a create that this attempt sent and whose answer was lost. It
 * does not wait for another sender, because no other sender can store the id of that response.
 *
 * @param waitMs how long to wait for a webhook that names the response.
 */
export async function findOwnPurchase(
  purchaseMark: PurchaseMark | undefined,
  attempt: Attempt,
  waitMs = attempt.model.uncertainWaitMs,
): Promise<Purchase | undefined> {
  const found = purchaseMark && (await findByFencingToken(purchaseMark, attempt, waitMs));
  if (found !== undefined) return found;
  attempt.active.assertMayCreate();
  if (attempt.model.onUncertain === 'retry') return undefined;
  throw new TerminalError(
    'purchase_uncertain',
    'A create request was sent and its answer was lost, so a response may have been bought. "onUncertain" of this model is "fail"; a retry by hand buys again',
  );
}

/**
 * Waits, for a grace period at most, for the worker that sent the create. That worker may have lost only the
 * lock of the job, and can store the id of the response until the period is over.
 */
async function waitForSender(attempt: Attempt): Promise<Purchase | undefined> {
  const { writer, upstream, active } = attempt;
  const until = performance.now() + upstream.graceMs;
  const waker = createWaker(active.stopRequested);
  while (performance.now() < until && !active.stopRequested.aborted) {
    const purchase = purchaseToAdopt(await writer.read(), attempt.now());
    if (purchase !== undefined) return adoptLate(purchase, attempt);
    await waker.wait(LOOK_AGAIN_MS);
  }
  return undefined;
}

/**
 * waitForFollower waits for the worker that follows a foreground response. That worker may have lost only the
 * lock of the job. It then takes the job back as soon as it notices the loss.
 *
 * @throws {LockLostError} when that worker has taken the job back.
 * @throws {Interruption} when this attempt has to stop.
 */
export async function waitForFollower({ writer, active, takeBackMs }: Attempt): Promise<void> {
  const until = performance.now() + takeBackMs;
  const waker = createWaker(active.stopRequested);
  while (performance.now() < until) {
    const { cancelRequested } = await writer.save({});
    if (cancelRequested) return;
    if (active.stopRequested.aborted) throw new Interruption('shutdown');
    await waker.wait(LOOK_AGAIN_MS);
  }
}

async function findByFencingToken(
  { fencingToken, at }: PurchaseMark,
  attempt: Attempt,
  waitMs: number,
): Promise<Purchase | undefined> {
  const { active, lostResponses, onPurchase, upstream } = attempt;
  if (lostResponses === undefined) return undefined;
  // This uses a timer and a controller, because Node may garbage-collect an AbortSignal.timeout() that only
  // AbortSignal.any() refers to. It then never fires.
  const enough = new AbortController();
  const end = (): void => enough.abort();
  const timer = setTimeout(end, waitMs);
  if (active.stopRequested.aborted) end();
  active.stopRequested.addEventListener('abort', end, { once: true });
  const response = await lostResponses
    .findLostResponse(fencingToken, { sinceMs: at, upstream, signal: enough.signal })
    .finally(() => {
      clearTimeout(timer);
      active.stopRequested.removeEventListener('abort', end);
    });
  if (response === undefined) return undefined;
  const simulated = upstream.isSimulated();
  const found = { response, background: true, streamed: false, simulated };
  const purchase = newPurchase(found, at, attempt.trace.purchase);
  await storeResponseId(purchase, fencingToken, attempt);
  // The worker that sent the create could not count the purchase.
  onPurchase('bought');
  return adoptLate(purchase, attempt);
}

/** adoptLate adopts a response that was not known when the attempt began. */
export function adoptLate(purchase: Purchase, attempt: Attempt): Purchase {
  attempt.purchase = purchase;
  attempt.isUncertain = false;
  attempt.onPurchase('adopted');
  // A failed renewal does no harm: the lease is renewed every few seconds anyway.
  attempt.reservation.renew(attempt.upstreamModel, true).catch(() => {});
  return purchase;
}

/** storeResponseId stores the id of the response that the create with this fencing token bought. */
export function storeResponseId(
  purchase: Purchase,
  fencingToken: string,
  attempt: Pick<Attempt, 'writer' | 'completionWindow'>,
): Promise<StorePurchaseAnswer> {
  return attempt.writer.storePurchase(fencingToken, identityOf(purchase, attempt));
}
