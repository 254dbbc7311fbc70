import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { Compression } from '../job/fields/compression.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import type { FinishedStatus } from '../job/job.ts';
import { type MarkPurchaseAnswer, markPurchase, storePurchase } from '../lua/purchase.ts';
import {
  appendToEventLog,
  type BeginAnswer,
  beginRun,
  type FinishAnswer,
  finishRun,
  type RunAnswer,
  type SaveAnswer,
  saveRun,
} from '../lua/run.ts';
import { MOST_LOG_BYTES } from '../lua/storage/tenant-use.ts';
import { jobScriptKeys, type ModelKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { utcDay } from '../usage/utc-day.ts';
import { createPurchaseHold, LockLostError, type PurchaseHold, purchaseOwnerOf } from './purchase-hold.ts';
import {
  type Begun,
  type Bought,
  fieldsOf,
  type RunEnd,
  type RunObserver,
  type RunProgress,
  type RunRecord,
  runRecordFrom,
} from './record.ts';
import { type Spent, usageBookingOf } from './spent.ts';

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

export interface RunRecordWriterOptions extends RunObserver {
  redis: Redis | Cluster;
  keys: ModelKeys;
  id: string;
  lockToken: string;
  /** The life of a lock, in milliseconds. */
  lockMs: number;
  compression: Compression;
  /** When the job was enqueued, in Unix milliseconds; the indexes are ordered by this time. */
  jobCreatedAt: number;
  /** The owner of the job; undefined: none. */
  tenant: string | undefined;
  /** Returns the Redis key of the usage of a day (`YYYY-MM-DD`, in UTC). */
  usageKey: (day: string) => string;
  /** How long a finished record is kept at most, by status, in seconds. */
  keepSeconds: { completed: number; failed: number };
  /** The span of the attempt, which the end of the run keeps. Default: the attempt is not traced. */
  trace?: TraceContext | undefined;
}

export function createRunRecordWriter({
  redis,
  keys,
  id,
  lockToken,
  lockMs,
  compression,
  jobCreatedAt,
  tenant,
  usageKey,
  keepSeconds,
  trace,
  onFirstStart,
  onEnd,
  onSpent,
}: RunRecordWriterOptions): RunRecordWriter {
  // Entries need an id of their own: BullMQ may give a worker the same job again with the same lock token.
  const writerId = randomUUID();
  let entries = 0;
  let hasEnded = false;
  // The names of about forty keys are made for each call, because a worker holds thousands of writers.
  const scriptKeys = () => jobScriptKeys(keys, id, tenant ?? '');
  const owner = purchaseOwnerOf(tenant, keepSeconds.completed);
  const held = { redis, id, lockToken, lockMs, owner, bought: keys.bought };
  const purchase = createPurchaseHold({ ...held, keys: scriptKeys });
  const { asOwner } = purchase;
  const noteSpent = (spent: Spent | null, isBooked: 0 | 1): void => {
    if (isBooked === 1 && spent !== null && spent.usage !== null) onSpent?.({ ...spent, usage: spent.usage });
  };
  return {
    takeBack: purchase.takeBack,
    async begin(attemptsMade, create = { fencingToken: '', upstreamModel: '' }) {
      const now = serverTime(redis);
      const reply = await beginRun.run(redis, {
        keys: scriptKeys(),
        args: { id, lockToken, attemptsMade, ...create, createdAt: jobCreatedAt, tenant: tenant ?? '', now },
      });
      const [state, fields] = reply as BeginAnswer;
      if (state === 'lock-lost') throw new LockLostError(id);
      const record = runRecordFrom(fields ?? []);
      if (record.startedAt === now) onFirstStart?.(record);
      if (state !== 'marked') return { state, record, isMarked: false };
      purchase.holdMarked(create.fencingToken);
      // The client has sent the script again after a lost reply, and the mark is that of the first time.
      record.purchaseMark = undefined;
      return { state: 'open', record, isMarked: true };
    },

    read: async () => runRecordFrom(Object.entries(await redis.hgetall(keys.run(id))).flat()),

    async markPurchase(fencingToken, uncertain = null) {
      const now = serverTime(redis);
      const reply = await markPurchase.run(redis, {
        keys: { ...scriptKeys(), usage: usageKey(utcDay(now)) },
        args: { lockToken, fencingToken, now, booking: usageBookingOf(uncertain, { id, tenant, now }) },
      });
      const answer = reply as MarkPurchaseAnswer;
      switch (answer[0]) {
        case 'lock-lost':
          throw new LockLostError(id);
        case 'finished':
        case 'cancel-requested':
          return { kind: answer[0] };
        case 'purchased':
          return { kind: 'purchased', record: runRecordFrom(answer[1]) };
        case 'ok':
          purchase.holdMarked(fencingToken);
          return { kind: 'ok', replaced: answer[1] === 1 };
        default: {
          const never: never = answer;
          throw new Error(`unknown answer ${String(never)}`);
        }
      }
    },

    async storePurchase(fencingToken, { upstreamId, ...response }) {
      const fields = fieldsOf(response);
      purchase.hold({ fencingToken, responseId: upstreamId, isAdoptable: response.background, fields });
      const stored = await asOwner<RunAnswer>(() =>
        storePurchase.run(redis, {
          keys: { ...scriptKeys(), bought: keys.bought(upstreamId) },
          args: { ...owner, lockToken, fencingToken, responseId: upstreamId },
          rest: fields,
        }),
      );
      if (stored === 'superseded') purchase.release();
      return stored;
    },

    async save(progress, spent = null) {
      const now = serverTime(redis);
      const [answer, isBooked] = await asOwner<SaveAnswer>(() =>
        saveRun.run(redis, {
          keys: { ...scriptKeys(), usage: usageKey(utcDay(now)) },
          args: { lockToken, booking: usageBookingOf(spent, { id, tenant, now }) },
          rest: fieldsOf(progress),
        }),
      );
      noteSpent(spent, isBooked);
      purchase.saved(progress);
      return { cancelRequested: answer === 'cancel-requested' };
    },

    async append(entry, progress) {
      const previousEntryId = entries === 0 ? '' : `${writerId}:${entries}`;
      entries += 1;
      const call = {
        keys: scriptKeys(),
        args: {
          ...{ lockToken, entryId: `${writerId}:${entries}`, previousEntryId },
          newEvents: 'events' in entry ? entry.events : '',
          reason: 'reason' in entry ? entry.reason : '',
          mostBytes: MOST_LOG_BYTES,
        },
        rest: fieldsOf(progress),
      };
      const answer = await asOwner<RunAnswer>(() => appendToEventLog.run(redis, call));
      return { cancelRequested: answer === 'cancel-requested' };
    },

    async eventLog() {
      const [purchases, entries] = await Promise.all([
        redis.hget(keys.run(id), 'purchases'),
        redis.xrange(keys.eventLog(id), '-', '+'),
      ]);
      return { entries: entries.map(([, fields]) => fields), purchase: Number(purchases ?? 0) };
    },

    async finish(end) {
      const now = serverTime(redis);
      const isCompleted = end.status === 'completed';
      const call = {
        keys: { ...scriptKeys(), usage: usageKey(utcDay(now)) },
        args: {
          ...{ id, lockToken, now, createdAt: jobCreatedAt, tenant: tenant ?? '' },
          wantedStatus: end.status,
          ttlSeconds: isCompleted ? keepSeconds.completed : keepSeconds.failed,
          finishedChannel: keys.finishedChannel,
          newUsage: JSON.stringify(end.spent?.usage ?? null),
          summary: isCompleted ? JSON.stringify(end.summary) : '',
          newResponse: isCompleted ? await compression.response(end.response) : '',
          failure: end.status === 'failed' ? JSON.stringify(end.error) : '',
          refusal: end.status === 'failed' && end.refusal ? JSON.stringify(end.refusal) : '',
          attemptTrace: trace === undefined ? '' : JSON.stringify(trace),
          booking: usageBookingOf(end.spent, { id, tenant, now }),
        },
      };
      const [status, isFirst, isBooked] = await asOwner<FinishAnswer>(() => finishRun.run(redis, call));
      if (isFirst === 1 && !hasEnded) {
        hasEnded = true;
        onEnd?.({
          status,
          code: status === 'failed' && end.status === 'failed' ? end.error.code : '',
          at: now,
        });
      }
      noteSpent(end.spent, isBooked);
      return status;
    },
  };
}
