import type { Cluster, Redis } from 'ioredis';
import type { FinishedStatus, JobError, ResultSummary, Usage } from '../job.ts';
import type { UpstreamResponse } from '../response.ts';
import type { ModelKeys } from './keys.ts';
import { beginScript } from './scripts/begin.ts';
import { finishScript } from './scripts/finish.ts';
import { saveScript } from './scripts/save.ts';

/** What is known of a job's run, beside BullMQ's job. Only the holder of the job's lock writes it, apart from a cancel. */
export interface RunRecord {
  startedAt: number | undefined;
  finishedAt: number | undefined;
  attempt: number;
  /** The response that was bought, while it may still be running or not yet collected. */
  upstreamId: string | undefined;
  /** The upstream keeps the response running without us: it can be adopted. */
  background: boolean;
  /** The response was created with a stream, so that it can be followed by events again. */
  streamed: boolean;
  /** The sequence number of the last stream event that was seen. */
  cursor: number | undefined;
  /** When the response was created, by our clock, in milliseconds. */
  createdAt: number | undefined;
  upstreamStatus: string | undefined;
  outputCharacters: number;
  cancelRequested: boolean;
  status: FinishedStatus | undefined;
  error: JobError | undefined;
  summary: ResultSummary | undefined;
  usage: Usage | null;
}

/** The fields that an attempt writes as it goes; `undefined` removes one. */
export interface RunProgress {
  upstreamId?: string | undefined;
  background?: boolean;
  streamed?: boolean;
  cursor?: number | undefined;
  createdAt?: number | undefined;
  upstreamStatus?: string | undefined;
  outputCharacters?: number | undefined;
  error?: JobError | undefined;
}

/** How a run ended. */
export type RunEnd =
  | { status: 'completed'; summary: ResultSummary; response: UpstreamResponse }
  | { status: 'failed'; error: JobError; usage: Usage | null }
  | { status: 'cancelled'; usage: Usage | null };

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
  begin(attemptsMade: number): Promise<{ finished: boolean; record: RunRecord }>;
  /** @returns whether somebody has asked to cancel. @throws {LockLostError} */
  save(progress: RunProgress): Promise<{ cancelRequested: boolean }>;
  /** @returns the status that stands: the first final one wins. @throws {LockLostError} */
  finish(end: RunEnd): Promise<FinishedStatus>;
}

export interface RunRecordOptions {
  redis: Redis | Cluster;
  keys: ModelKeys;
  id: string;
  lockToken: string;
  /** When the job was enqueued, in milliseconds: its place in the lists. */
  jobCreatedAt: number;
  /** How long a finished record is kept at most, in seconds. */
  keepSeconds: { completed: number; failed: number };
}

export function createRunRecord({
  redis,
  keys,
  id,
  lockToken,
  jobCreatedAt,
  keepSeconds,
}: RunRecordOptions): RunRecordWriter {
  return {
    async begin(attemptsMade) {
      const all = [
        keys.index('all'),
        keys.index('live'),
        keys.index('completed'),
        keys.index('failed'),
        keys.index('cancelled'),
      ];
      const reply = await beginScript.run(
        redis,
        [keys.job(id), keys.lock(id), keys.run(id), keys.response(id), ...all],
        [id, lockToken, jobCreatedAt, Date.now(), attemptsMade],
      );
      const [answer, fields] = reply as ['lost'] | ['open' | 'finished', string[]];
      if (answer === 'lost') throw new LockLostError(id);
      return { finished: answer === 'finished', record: runRecordFrom(fields ?? []) };
    },

    async save(progress) {
      const answer = await saveScript.run(
        redis,
        [keys.lock(id), keys.run(id)],
        [lockToken, ...fieldsOf(progress)],
      );
      if (answer === 'lost') throw new LockLostError(id);
      return { cancelRequested: answer === 'cancel' };
    },

    async finish(end) {
      const indexes = [
        keys.index('live'),
        keys.index('completed'),
        keys.index('failed'),
        keys.index('cancelled'),
      ];
      const fields =
        end.status === 'completed'
          ? ['summary', JSON.stringify(end.summary), 'usage', JSON.stringify(end.summary.usage)]
          : [
              'usage',
              JSON.stringify(end.usage),
              ...(end.status === 'failed' ? ['error', JSON.stringify(end.error)] : []),
            ];
      const answer = await finishScript.run(
        redis,
        [keys.job(id), keys.lock(id), keys.run(id), keys.response(id), ...indexes],
        [
          id,
          lockToken,
          end.status,
          Date.now(),
          jobCreatedAt,
          end.status === 'completed' ? keepSeconds.completed : keepSeconds.failed,
          end.status === 'completed' ? JSON.stringify(end.response) : '',
          keys.finishedChannel,
          ...fields,
        ],
      );
      if (answer === 'lost') throw new LockLostError(id);
      return answer as FinishedStatus;
    },
  };
}

/** Names in Redis are in snake_case, for people who look with redis-cli. */
const FIELD_NAMES: Record<keyof RunProgress, string> = {
  upstreamId: 'upstream_id',
  background: 'background',
  streamed: 'streamed',
  cursor: 'cursor',
  createdAt: 'created_at',
  upstreamStatus: 'upstream_status',
  outputCharacters: 'output_characters',
  error: 'error',
};

function fieldsOf(progress: RunProgress): string[] {
  return Object.entries(progress).flatMap(([name, value]) => [
    FIELD_NAMES[name as keyof RunProgress],
    textOf(value),
  ]);
}

/** An empty text removes the field. */
function textOf(value: RunProgress[keyof RunProgress]): string {
  if (value === undefined) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  return typeof value === 'boolean' ? String(Number(value)) : String(value);
}

/** From the flat list of fields and values that a script returns. */
export function runRecordFrom(flat: readonly string[]): RunRecord {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] ?? '', flat[i + 1] ?? '');
  const number = (field: string): number | undefined =>
    fields.has(field) ? Number(fields.get(field)) : undefined;
  const json = <Value>(field: string): Value | undefined => {
    const text = fields.get(field);
    return text === undefined ? undefined : (JSON.parse(text) as Value);
  };
  return {
    startedAt: number('started_at'),
    finishedAt: number('finished_at'),
    attempt: number('attempt') ?? 0,
    upstreamId: fields.get('upstream_id'),
    background: fields.get('background') === '1',
    streamed: fields.get('streamed') === '1',
    cursor: number('cursor'),
    createdAt: number('created_at'),
    upstreamStatus: fields.get('upstream_status'),
    outputCharacters: number('output_characters') ?? 0,
    cancelRequested: fields.has('cancel_requested_at'),
    status: fields.get('status') as FinishedStatus | undefined,
    error: json<JobError>('error'),
    summary: json<ResultSummary>('summary'),
    usage: json<Usage | null>('usage') ?? null,
  };
}
