import type { ModelConfig } from '../src/config-file.ts';
import { TerminalError } from '../src/failure.ts';
import type { RunRecord, Submission } from '../src/queue/run-record.ts';
import type { RunRecordWriter } from '../src/queue/run-record-writer.ts';
import type { ActiveAttempt } from './active-attempt.ts';
import type { Orphans } from './orphans.ts';
import { pause } from './pause.ts';
import { type Purchase, purchaseToAdopt, storePurchase } from './purchase.ts';
import type { Upstream } from './upstream.ts';

export interface UncertainOptions {
  record: RunRecordWriter;
  upstream: Upstream;
  active: ActiveAttempt;
  orphans: Orphans | undefined;
  policy: Pick<ModelConfig, 'onUncertain' | 'uncertainWaitMs'>;
  onPurchase: (what: 'uncertain') => void;
}

const LOOK_AGAIN_MS = 250;

/**
 * An earlier create left its mark and no id: its worker died in the one round trip between them, or its answer was lost on the way. What it bought,
 * if that can be found out; undefined when the policy is to buy again: that mark replaces this one, and counts it.
 *
 * @throws {TerminalError} `purchase_uncertain`, when the policy is rather to fail.
 */
export async function findUncertain(
  known: RunRecord,
  options: UncertainOptions,
): Promise<Purchase | undefined> {
  const { submitting } = known;
  if (submitting === undefined) return undefined;
  const { active, policy, onPurchase } = options;
  const found = (await homecoming(submitting, options)) ?? (await orphanOf(submitting, options));
  if (found !== undefined) return found;
  active.beforeBuying();
  if (policy.onUncertain === 'retry') return undefined;
  onPurchase('uncertain');
  throw new TerminalError(
    'purchase_uncertain',
    'A request was sent and its answer lost, so that it may have been bought; "onUncertain" of this model is "fail". A retry by hand buys it again',
  );
}

/** The sender may only have lost the job's lock: then it still has its grace to bring the id home. */
async function homecoming(
  { over }: Submission,
  { record, upstream, active }: UncertainOptions,
): Promise<Purchase | undefined> {
  if (over) return undefined;
  const until = Date.now() + upstream.graceMs;
  while (Date.now() < until && !active.leaving.aborted) {
    const purchase = purchaseToAdopt(await record.read());
    if (purchase !== undefined) return purchase;
    await pause(LOOK_AGAIN_MS, active.leaving);
  }
  return undefined;
}

async function orphanOf(
  { token, at }: Submission,
  { record, active, orphans, policy }: UncertainOptions,
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
  return purchase;
}
