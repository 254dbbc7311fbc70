import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { Compression } from '../job/fields/compression.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
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
import { createPurchaseHold, LockLostError, purchaseOwnerOf } from './purchase-hold.ts';
import { fieldsOf, type RunObserver, runRecordFrom } from './record.ts';
import { type Spent, usageBookingOf } from './spent.ts';
import type { RunRecordWriter } from './writer.ts';

/** RunRecordWriterOptions are the job, the lock and the observer of one writer. */
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

/** createRunRecordWriter makes a writer whose every write is one script (`src/lua/run.ts`, `purchase.ts`). */
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
