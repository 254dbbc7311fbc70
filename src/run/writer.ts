import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { FinishedStatus } from '../job/job.ts';
import { type MarkAnswer, markPurchase, storePurchase } from '../lua/purchase.ts';
import {
  appendToEventLog,
  type BeginAnswer,
  beginRun,
  type FinishAnswer,
  finishRun,
  type RunAnswer,
  saveRun,
} from '../lua/run.ts';
import { jobScriptKeys, type ModelKeys } from '../redis/keys.ts';
import { utcDay } from '../usage/utc-day.ts';
import {
  fieldsOf,
  type RunEnd,
  type RunProgress,
  type RunRecord,
  runRecordFrom,
  type Spent,
  usageBookingOf,
} from './record.ts';

/** Of the events of one job. Whoever streams more hears the rest at its end. */
const MOST_JOURNAL_BYTES = 8 * 1024 * 1024;

/** Another worker holds the job's lock: this one must stop and write nothing more. */
export class LockLostError extends Error {
  override readonly name = 'LockLostError';
  constructor(id: string) {
    super(`The lock of job ${id} is held by another worker`);
  }
}

/** The record as one attempt sees it: bound to its job and to the lock that allows writing. */
export interface RunRecordWriter {
  /**
   * @param attemptsMade as BullMQ counts them; `record.attempt` is ours, 1-based, and begins anew with a retry by hand.
   * @throws {LockLostError}
   */
  begin(attemptsMade: number): Promise<Begun>;
  /** As it stands now, whoever holds the lock. */
  read(): Promise<RunRecord>;
  /**
   * Marks that a create is about to be sent; an earlier mark counts as uncertain from now on.
   * @returns `unwanted`: the job is cancelled or has ended. `bought`: an earlier create has brought its id home after all.
   * @throws {LockLostError}
   */
  submit(fencingToken: string): Promise<Submitted>;
  /**
   * Writes down what a create has bought, with or without the lock.
   * @returns `unwanted`: somebody has asked to cancel, or the job has ended. `superseded`: another create was sent since, nothing is written.
   * @throws {LockLostError} when it is written, and another worker is to go on with it.
   */
  storePurchase(fencingToken: string, bought: Bought): Promise<Stored>;
  /**
   * @param spent a response that has ended without ending the job. Default: none has.
   * @returns whether somebody has asked to cancel. @throws {LockLostError}
   */
  save(progress: RunProgress, spent?: Spent | null): Promise<{ cancelRequested: boolean }>;
  /**
   * Adds to the journal, and writes how far that is. After the job's end nothing is written any more.
   * @returns whether somebody has asked to cancel. @throws {LockLostError}
   */
  append(entry: NewEntry, progress: RunProgress): Promise<{ cancelRequested: boolean }>;
  /** @returns the status that stands: the first final one wins. @throws {LockLostError} */
  finish(end: RunEnd): Promise<FinishedStatus>;
}

/** `unreserved`: it has to wait for its turn in the line first. `finished`: it has its final status already. */
export interface Begun {
  state: 'open' | 'unreserved' | 'finished';
  record: RunRecord;
}

/** Events as a `LogBatch` writes them, or why another attempt begins. */
export type NewEntry = { events: string } | { reason: string };

/** `replaced`: there was a mark of an earlier create, which nobody will ever know the end of. */
export type Submitted =
  | { kind: 'ok'; replaced: boolean }
  | { kind: 'finished' | 'cancel-requested' }
  | { kind: 'purchased'; record: RunRecord };

export type Stored = Exclude<RunAnswer, 'lock-lost'>;

/** A response that a create has brought home. */
export type Bought = Required<
  Pick<RunProgress, 'background' | 'streamed' | 'responseCreatedAt' | 'upstreamStatus'>
> & { upstreamId: string };

export interface RunRecordOptions {
  redis: Redis | Cluster;
  keys: ModelKeys;
  id: string;
  lockToken: string;
  /** When the job was enqueued, in milliseconds: its place in the lists. */
  jobCreatedAt: number;
  /** undefined: nobody's. */
  tenant: string | undefined;
  /** Where a day's spend is booked, by the day: `YYYY-MM-DD`, in UTC. */
  usageKey: (day: string) => string;
  /** How long a finished record is kept at most, in seconds. */
  keepSeconds: { completed: number; failed: number };
}

export function createRunRecord({
  redis,
  keys,
  id,
  lockToken,
  jobCreatedAt,
  tenant,
  usageKey,
  keepSeconds,
}: RunRecordOptions): RunRecordWriter {
  // Not the lock's token: BullMQ may give a worker the same job again with the same one.
  const writer = randomUUID();
  let entries = 0;
  const scriptKeys = jobScriptKeys(keys, id, tenant ?? '');
  return {
    async begin(attemptsMade) {
      const reply = await beginRun.run(redis, {
        keys: scriptKeys,
        args: {
          ...{ id, lockToken, attemptsMade },
          createdAt: jobCreatedAt,
          now: Date.now(),
          tenant: tenant ?? '',
        },
      });
      const [state, fields] = reply as BeginAnswer;
      if (state === 'lock-lost') throw new LockLostError(id);
      return { state, record: runRecordFrom(fields ?? []) };
    },

    async read() {
      const fields = await redis.hgetall(keys.run(id));
      return runRecordFrom(Object.entries(fields).flat());
    },

    async submit(fencingToken) {
      const reply = await markPurchase.run(redis, {
        keys: scriptKeys,
        args: { lockToken, fencingToken, now: Date.now() },
      });
      const answer = reply as MarkAnswer;
      switch (answer[0]) {
        case 'lock-lost':
          throw new LockLostError(id);
        case 'finished':
        case 'cancel-requested':
          return { kind: answer[0] };
        case 'purchased':
          return { kind: 'purchased', record: runRecordFrom(answer[1]) };
        case 'ok':
          return { kind: 'ok', replaced: answer[1] === 1 };
        default: {
          const never: never = answer;
          throw new Error(`unknown answer ${String(never)}`);
        }
      }
    },

    async storePurchase(fencingToken, { upstreamId, ...bought }) {
      const answer = (await storePurchase.run(redis, {
        keys: scriptKeys,
        args: { lockToken, fencingToken, responseId: upstreamId },
        rest: fieldsOf(bought),
      })) as RunAnswer;
      return requireLock(answer, id);
    },

    async save(progress, spent = null) {
      const answer = (await saveRun.run(redis, {
        keys: { ...scriptKeys, usage: usageKey(utcDay(Date.now())) },
        args: { lockToken, booking: usageBookingOf(spent, tenant) },
        rest: fieldsOf(progress),
      })) as RunAnswer;
      return { cancelRequested: requireLock(answer, id) === 'cancel-requested' };
    },

    async append(entry, progress) {
      const previousEntryId = entries === 0 ? '' : `${writer}:${entries}`;
      entries += 1;
      const answer = (await appendToEventLog.run(redis, {
        keys: scriptKeys,
        args: {
          ...{ lockToken, entryId: `${writer}:${entries}`, previousEntryId },
          newEvents: 'events' in entry ? entry.events : '',
          reason: 'reason' in entry ? entry.reason : '',
          mostBytes: MOST_JOURNAL_BYTES,
        },
        rest: fieldsOf(progress),
      })) as RunAnswer;
      return { cancelRequested: requireLock(answer, id) === 'cancel-requested' };
    },

    async finish(end) {
      const now = Date.now();
      const isCompleted = end.status === 'completed';
      const answer = await finishRun.run(redis, {
        keys: { ...scriptKeys, usage: usageKey(utcDay(now)) },
        args: {
          ...{ id, lockToken, now, createdAt: jobCreatedAt },
          wantedStatus: end.status,
          ttlSeconds: isCompleted ? keepSeconds.completed : keepSeconds.failed,
          finishedChannel: keys.finishedChannel,
          newUsage: JSON.stringify(end.spent?.usage ?? null),
          summary: isCompleted ? JSON.stringify(end.summary) : '',
          newResponse: isCompleted ? JSON.stringify(end.response) : '',
          failure: end.status === 'failed' ? JSON.stringify(end.error) : '',
          refusal: end.status === 'failed' && end.refusal ? JSON.stringify(end.refusal) : '',
          booking: usageBookingOf(end.spent, tenant),
        },
      });
      return requireLock(answer as FinishAnswer, id);
    },
  };
}

/** @throws {LockLostError} */
function requireLock<Answer extends RunAnswer | FinishAnswer>(
  answer: Answer,
  id: string,
): Exclude<Answer, 'lock-lost'> {
  if (answer === 'lock-lost') throw new LockLostError(id);
  return answer as Exclude<Answer, 'lock-lost'>;
}
