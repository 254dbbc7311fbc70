import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { FinishedStatus } from '../job/job.ts';
import { appendScript } from '../lua/queue/append.ts';
import { beginScript } from '../lua/queue/begin.ts';
import { boughtScript } from '../lua/queue/bought.ts';
import { finishScript } from '../lua/queue/finish.ts';
import { saveScript } from '../lua/queue/save.ts';
import { submitScript } from '../lua/queue/submit.ts';
import type { ModelKeys } from '../redis/keys.ts';
import { utcDay } from '../usage/utc-day.ts';
import { usageBookingOf } from './booking.ts';
import {
  fieldsOf,
  type RunEnd,
  type RunProgress,
  type RunRecord,
  runRecordFrom,
  type Spent,
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
  submit(purchaseToken: string): Promise<Submitted>;
  /**
   * Writes down what a create has bought, with or without the lock.
   * @returns `unwanted`: somebody has asked to cancel, or the job has ended. `superseded`: another create was sent since, nothing is written.
   * @throws {LockLostError} when it is written, and another worker is to go on with it.
   */
  storePurchase(purchaseToken: string, bought: Bought): Promise<Stored>;
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

/** `ungranted`: it has to wait for its turn in the line first. `finished`: it has its final status already. */
export interface Begun {
  state: 'open' | 'ungranted' | 'finished';
  record: RunRecord;
}

/** Events as a `LogBatch` writes them, or why another attempt begins. */
export type NewEntry = { events: string } | { reason: string };

/** `replaced`: there was a mark of an earlier create, which nobody will ever know the end of. */
export type Submitted =
  | { kind: 'ok'; replaced: boolean }
  | { kind: 'unwanted' }
  | { kind: 'bought'; record: RunRecord };

export type Stored = 'ok' | 'unwanted' | 'superseded';

/** A response that a create has brought home. */
export type Bought = Required<
  Pick<RunProgress, 'background' | 'streamed' | 'createdAt' | 'upstreamStatus'>
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
  return {
    async begin(attemptsMade) {
      const all = [
        keys.index('all'),
        keys.index('live'),
        keys.index('completed'),
        keys.index('failed'),
        keys.index('cancelled'),
        keys.eventLog(id),
        ...(tenant === undefined ? [] : [keys.tenants, keys.tenantIndex(tenant)]),
      ];
      const reply = await beginScript.run(
        redis,
        [keys.job(id), keys.lock(id), keys.run(id), keys.response(id), ...all],
        [id, lockToken, jobCreatedAt, Date.now(), attemptsMade, tenant ?? ''],
      );
      const [state, fields] = reply as ['lost'] | [Begun['state'], string[]];
      if (state === 'lost') throw new LockLostError(id);
      return { state, record: runRecordFrom(fields ?? []) };
    },

    async read() {
      const fields = await redis.hgetall(keys.run(id));
      return runRecordFrom(Object.entries(fields).flat());
    },

    async submit(purchaseToken) {
      const reply = await submitScript.run(
        redis,
        [keys.lock(id), keys.run(id)],
        [lockToken, purchaseToken, Date.now()],
      );
      const answer = reply as ['lost'] | ['cancel'] | ['bought', string[]] | ['ok', 0 | 1];
      switch (answer[0]) {
        case 'lost':
          throw new LockLostError(id);
        case 'cancel':
          return { kind: 'unwanted' };
        case 'bought':
          return { kind: 'bought', record: runRecordFrom(answer[1]) };
        default:
          return { kind: 'ok', replaced: answer[1] === 1 };
      }
    },

    async storePurchase(purchaseToken, { upstreamId, ...bought }) {
      const answer = await boughtScript.run(
        redis,
        [keys.lock(id), keys.run(id)],
        [lockToken, purchaseToken, ...fieldsOf({ upstreamId }), ...fieldsOf(bought)],
      );
      switch (answer) {
        case 'lost':
          throw new LockLostError(id);
        case 'superseded':
          return 'superseded';
        case 'ok':
          return 'ok';
        default:
          return 'unwanted';
      }
    },

    async save(progress, spent = null) {
      const answer = await saveScript.run(
        redis,
        [keys.lock(id), keys.run(id), usageKey(utcDay(Date.now()))],
        [lockToken, usageBookingOf(spent, tenant), ...fieldsOf(progress)],
      );
      if (answer === 'lost') throw new LockLostError(id);
      return { cancelRequested: answer === 'cancel' };
    },

    async append(entry, progress) {
      const before = entries === 0 ? '' : `${writer}:${entries}`;
      entries += 1;
      const [events, reason] = 'events' in entry ? [entry.events, ''] : ['', entry.reason];
      const answer = await appendScript.run(
        redis,
        [keys.lock(id), keys.run(id), keys.eventLog(id)],
        [
          lockToken,
          `${writer}:${entries}`,
          before,
          events,
          reason,
          MOST_JOURNAL_BYTES,
          ...fieldsOf(progress),
        ],
      );
      if (answer === 'lost') throw new LockLostError(id);
      return { cancelRequested: answer === 'cancel' };
    },

    async finish(end) {
      const now = Date.now();
      const others = [
        keys.index('live'),
        keys.index('completed'),
        keys.index('failed'),
        keys.index('cancelled'),
        keys.eventLog(id),
        keys.outbox,
        usageKey(utcDay(now)),
      ];
      const fields = [
        'usage',
        JSON.stringify(end.spent?.usage ?? null),
        ...(end.status === 'completed' ? ['summary', JSON.stringify(end.summary)] : []),
        ...(end.status === 'failed' ? ['error', JSON.stringify(end.error)] : []),
        ...(end.status === 'failed' && end.refusal ? ['refusal', JSON.stringify(end.refusal)] : []),
      ];
      const answer = await finishScript.run(
        redis,
        [keys.job(id), keys.lock(id), keys.run(id), keys.response(id), ...others],
        [
          id,
          lockToken,
          end.status,
          now,
          jobCreatedAt,
          end.status === 'completed' ? keepSeconds.completed : keepSeconds.failed,
          end.status === 'completed' ? JSON.stringify(end.response) : '',
          keys.finishedChannel,
          usageBookingOf(end.spent, tenant),
          ...fields,
        ],
      );
      if (answer === 'lost') throw new LockLostError(id);
      return answer as FinishedStatus;
    },
  };
}
