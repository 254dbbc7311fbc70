import type { FinishedStatus } from '../job/job.ts';
import type { RunAnswer } from '../lua/run.ts';
import type { PurchaseHold } from './purchase-hold.ts';
import type { Begun, Bought, RunEnd, RunProgress, RunRecord } from './record.ts';
import type { Spent } from './spent.ts';

/**
 * RunRecordWriter writes the record of one job for one attempt. The attempt's lock token shows that the
 * attempt may write. If the lock is lost, the attempt may take it back by its purchase (see `PurchaseHold`).
 */
export interface RunRecordWriter {
  /**
   * begin claims the record for this attempt.
   *
   * @param attemptsMade BullMQ's count; `record.attempt` is ours, which counts from 1 in each run.
   * @param create a create that is marked in the same step, as by `markPurchase`, if the job is reserved at
   * its upstream model, has bought nothing, and is not cancelled. Default: none.
   * @throws {LockLostError}
   */
  begin(attemptsMade: number, create?: { fencingToken: string; upstreamModel: string }): Promise<Begun>;
  /** read returns the record as it is now. It needs no lock. */
  read(): Promise<RunRecord>;
  /**
   * markPurchase writes the purchase mark. Call it right before a create is sent. If there is an earlier
   * mark, its create counts as an uncertain purchase from now on.
   *
   * @param uncertain what the create of the earlier mark has probably cost.
   * @throws {LockLostError}
   */
  markPurchase(fencingToken: string, uncertain?: Spent | null): Promise<MarkedPurchase>;
  /**
   * storePurchase stores the response that a create has bought. It needs no lock.
   *
   * @returns `superseded`: not stored, because another create was sent since. Any other answer: stored.
   * @throws {LockLostError} when the response is stored, but another worker will follow it.
   */
  storePurchase(fencingToken: string, bought: Bought): Promise<StorePurchaseAnswer>;
  takeBack: PurchaseHold['takeBack'];
  /**
   * save writes fields of the record.
   *
   * @param spent a response that has ended without ending the job; null: none.
   * @throws {LockLostError}
   */
  save(progress: RunProgress, spent?: Spent | null): Promise<{ cancelRequested: boolean }>;
  /**
   * append adds an entry to the event log and writes fields of the record in one step. After the job's end it
   * writes nothing.
   *
   * @throws {LockLostError}
   */
  append(entry: NewEntry, progress: RunProgress): Promise<{ cancelRequested: boolean }>;
  /**
   * eventLog returns the entries of the event log, each as the fields of a Redis stream, and the number of
   * the response that was bought last. It needs no lock.
   */
  eventLog(): Promise<{ entries: string[][]; purchase: number }>;
  /**
   * finish writes the final status. The first final status wins.
   *
   * @returns the status that the record has now.
   * @throws {LockLostError}
   */
  finish(end: RunEnd): Promise<FinishedStatus>;
}

/**
 * NewEntry is a new entry of the event log: events as a `LogBatch` writes them, or the reason why another
 * attempt begins.
 */
export type NewEntry = { events: string } | { reason: string };

/**
 * MarkedPurchase says whether the create may be sent. `ok`: it may. `replaced`: its mark replaced the mark of
 * an earlier create, whose outcome stays unknown. `purchased`: the response id of an earlier create has
 * arrived after all.
 */
export type MarkedPurchase =
  | { kind: 'ok'; replaced: boolean }
  | { kind: 'finished' | 'cancel-requested' }
  | { kind: 'purchased'; record: RunRecord };

/** StorePurchaseAnswer is the answer of `storePurchase`. */
export type StorePurchaseAnswer = Exclude<RunAnswer, 'lock-lost'>;
