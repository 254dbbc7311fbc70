import { pause } from '../../src/async/waker.ts';
import type { ModelConfig } from '../../src/config/file.ts';
import { TerminalError } from '../../src/errors/failure.ts';
import type { Submission } from '../../src/run/record.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { Upstream } from '../upstream/client.ts';
import type { LostResponses } from '../upstream/lost-responses.ts';
import type { ActiveAttempt } from './active-attempt.ts';
import { type Purchase, type PurchaseEvent, purchaseToAdopt, storePurchase } from './purchase.ts';

export interface UncertainOptions {
  record: RunRecordWriter;
  upstream: Upstream;
  active: ActiveAttempt;
  orphans: LostResponses | undefined;
  policy: Pick<ModelConfig, 'onUncertain' | 'uncertainWaitMs'>;
  onPurchase: (what: PurchaseEvent) => void;
}

const LOOK_AGAIN_MS = 250;

/**
 * An earlier create left its mark and no id: its worker died in the one round trip between them, or its answer was lost on the way. What it bought,
 * if that can be found out; undefined when the policy is to buy again: that mark replaces this one, and counts it.
 *
 * @throws {TerminalError} `purchase_uncertain`, when the policy is rather to fail.
 */
export async function findUncertain(
  submitting: Submission | undefined,
  options: UncertainOptions,
): Promise<Purchase | undefined> {
  // Over: its sender has looked for it already.
  if (submitting === undefined || submitting.over) return undefined;
  return (await homecoming(options)) ?? findOwn(submitting, options);
}

/** The same for a create of one's own that broke off: nobody else will bring its id home. */
export async function findOwn(
  submitting: Submission | undefined,
  options: UncertainOptions,
): Promise<Purchase | undefined> {
  const { active, policy } = options;
  const found = submitting && (await orphanOf(submitting, options));
  if (found !== undefined) return found;
  active.beforeBuying();
  if (policy.onUncertain === 'retry') return undefined;
  throw new TerminalError(
    'purchase_uncertain',
    'A request was sent and its answer lost, so that it may have been bought; "onUncertain" of this model is "fail". A retry by hand buys it again',
  );
}

/** The sender may only have lost the job's lock: then it still has its grace to bring the id home. */
async function homecoming({
  record,
  upstream,
  active,
  onPurchase,
}: UncertainOptions): Promise<Purchase | undefined> {
  const until = Date.now() + upstream.graceMs;
  while (Date.now() < until && !active.leaving.aborted) {
    const purchase = purchaseToAdopt(await record.read());
    if (purchase !== undefined) {
      onPurchase('adopted');
      return purchase;
    }
    await pause(LOOK_AGAIN_MS, active.leaving);
  }
  return undefined;
}

async function orphanOf(
  { token, at }: Submission,
  { record, active, orphans, policy, onPurchase }: UncertainOptions,
): Promise<Purchase | undefined> {
  if (orphans === undefined) return undefined;
  // A timer and a controller: Node collects AbortSignal.any() of an AbortSignal.timeout() that nobody else holds, and then it never fires.
  const enough = new AbortController();
  const end = (): void => enough.abort();
  const timer = setTimeout(end, policy.uncertainWaitMs);
  if (active.leaving.aborted) end();
  active.leaving.addEventListener('abort', end, { once: true });
  const response = await orphans.find(token, at, enough.signal).finally(() => {
    clearTimeout(timer);
    active.leaving.removeEventListener('abort', end);
  });
  if (response === undefined) return undefined;
  const running = { response, background: true, streamed: false };
  const purchase = { running, cursor: undefined, outputCharacters: 0, createdAt: at };
  await storePurchase(purchase, token, record);
  // By nobody who could have counted it.
  onPurchase('bought');
  onPurchase('adopted');
  return purchase;
}
