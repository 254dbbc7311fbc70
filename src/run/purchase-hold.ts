import type { Cluster, Redis } from 'ioredis';
import { claimPurchase } from '../lua/purchase.ts';
import type { jobScriptKeys, ModelKeys } from '../redis/keys.ts';
import type { RunProgress } from './record.ts';

/**
 * LockLostError says that another worker holds the job's lock: this attempt must stop and write nothing more.
 */
export class LockLostError extends Error {
  override readonly name = 'LockLostError';
  constructor(id: string) {
    super(`The lock of job ${id} is held by another worker`);
  }
}

/** HeldPurchase is what one attempt is buying, or has bought and follows. */
export interface HeldPurchase {
  fencingToken: string;
  /** The id of the response; '' while the create is under way. */
  responseId: string;
  /** Whether another worker could follow the response, because it runs in the background of the upstream. */
  isAdoptable: boolean;
  /** What the record keeps of the response: field, value, … */
  fields: readonly string[];
}

/** PurchaseOwner says whose purchase is remembered under the id of its response, and for how long. */
export interface PurchaseOwner {
  /** '' for none: then nothing is remembered. */
  tenant: string;
  boughtSeconds: number;
}

/** A response is remembered from its purchase on, and its job is kept from its end on. */
const LONGEST_RUN_S = 86_400;

/** @param keepSeconds how long the completed job is kept, in seconds. */
export function purchaseOwnerOf(tenant: string | undefined, keepSeconds: number): PurchaseOwner {
  return { tenant: tenant ?? '', boughtSeconds: keepSeconds + LONGEST_RUN_S };
}

/** PurchaseHold keeps the purchase of one attempt, with which the attempt can take its job back. */
export interface PurchaseHold {
  hold(purchase: HeldPurchase): void;
  /** Holds the create whose purchase mark was just written. */
  holdMarked(fencingToken: string): void;
  /** Forgets the purchase, because it was refused, failed or superseded. */
  release(): void;
  /** Releases the purchase if the fields that were just saved say that the purchase is over. */
  saved(progress: RunProgress): void;
  /**
   * takeBack takes the job back from another worker, if the held purchase is the job's current one and no
   * other worker could follow it.
   *
   * @returns whether this attempt has the job and its lock.
   */
  takeBack(): Promise<boolean>;
  /**
   * asOwner runs `write`, and runs it again if a lost lock could be taken back.
   *
   * @throws {LockLostError}
   */
  asOwner<Answer>(write: () => Promise<unknown>): Promise<Exclude<Answer, 'lock-lost'>>;
}

export interface PurchaseHoldOptions {
  redis: Redis | Cluster;
  /** Returns the keys of the job. */
  keys: () => ReturnType<typeof jobScriptKeys>;
  bought: ModelKeys['bought'];
  owner: PurchaseOwner;
  id: string;
  lockToken: string;
  /** The life of a lock, in milliseconds. */
  lockMs: number;
}

export function createPurchaseHold({
  redis,
  keys,
  bought,
  owner,
  id,
  lockToken,
  lockMs,
}: PurchaseHoldOptions): PurchaseHold {
  let held: HeldPurchase | undefined;
  const release = (): void => {
    held = undefined;
  };
  const takeBack = async (): Promise<boolean> => {
    if (held === undefined) return false;
    const { fencingToken, responseId, isAdoptable, fields } = held;
    const claimed = await claimPurchase.run(redis, {
      keys: { ...keys(), bought: bought(responseId) },
      args: { ...owner, id, lockToken, lockMs, fencingToken, responseId, isAdoptable: Number(isAdoptable) },
      rest: fields,
    });
    return claimed === 1;
  };
  return {
    release,
    takeBack,
    hold(purchase) {
      held = purchase;
    },
    holdMarked(fencingToken) {
      held = { fencingToken, responseId: '', isAdoptable: false, fields: [] };
    },
    saved(progress) {
      const isGone = 'upstreamId' in progress && progress.upstreamId === undefined;
      if (isGone || 'purchaseMark' in progress || 'purchaseMarkAbandoned' in progress) release();
    },
    async asOwner<Answer>(write: () => Promise<unknown>) {
      const answer = (await write()) as Answer;
      if (answer !== 'lock-lost' || !(await takeBack())) return requireLock(answer, id);
      return requireLock((await write()) as Answer, id);
    },
  };
}

/** @throws {LockLostError} */
function requireLock<Answer>(answer: Answer, id: string): Exclude<Answer, 'lock-lost'> {
  if (answer === 'lock-lost') throw new LockLostError(id);
  return answer as Exclude<Answer, 'lock-lost'>;
}
