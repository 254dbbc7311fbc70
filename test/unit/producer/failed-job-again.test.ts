import { enqueueResponse } from '../../../producer/v1/enqueue.ts';
import type { Undelivered } from '../../../producer/v1/undelivered.ts';
import type { ParsedRequest } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import { active, cancelled, completed, failed } from '../../support/http/job-views.ts';

/** Returns the key of the job that a call gets when an earlier call with the same request has left `job`. */
async function keyFor(job: JobView, failureMs: number): Promise<{ key: string; ended: string[] }> {
  const keys = ['left', 'new'];
  const ended: string[] = [];
  const undelivered: Undelivered = {
    async open() {
      const idempotencyKey = keys.shift() ?? 'none';
      return {
        idempotencyKey,
        async end(what) {
          ended.push(`${idempotencyKey} ${what}`);
          return true;
        },
      };
    },
  };
  const enqueue = async (_request: ParsedRequest, key: string) =>
    key === 'left' ? { job, isNew: false } : { job: active, isNew: true };
  const queue = { enqueue, storage: {} } as unknown as TenantQueue;
  const options = { headers: {}, isAgain: false, failureMs };
  const { call } = await enqueueResponse({} as ParsedRequest, options, queue, undelivered);
  return { key: call?.idempotencyKey ?? 'none', ended };
}
const ago = (ms: number) => ({ finished_at: new Date(Date.now() - ms).toISOString() });

it.each<[string, JobView, number, 'left' | 'new']>([
  ['one that failed just now', { ...failed, ...ago(0) }, 180_000, 'left'],
  ['one that failed within the time', { ...failed, ...ago(120_000) }, 180_000, 'left'],
  ['one that was cancelled within the time', { ...cancelled, ...ago(120_000) }, 180_000, 'left'],
  ['one that failed before that', { ...failed, ...ago(180_001) }, 180_000, 'new'],
  ['one that was cancelled before that', { ...cancelled, ...ago(180_001) }, 180_000, 'new'],
  ['one that is being cancelled', { ...active, cancelling: true }, 180_000, 'new'],
  ['one that runs', active, 180_000, 'left'],
  ['one that was completed long ago', { ...completed, ...ago(1e9) }, 180_000, 'left'],
  ['one that failed just now, at a door that keeps no failures', { ...failed, ...ago(0) }, 0, 'new'],
  ['one that failed by a clock that is ahead, at such a door', { ...failed, ...ago(-60_000) }, 0, 'new'],
])('of jobs that were left, a call gets %s or a new one', async (_which, job, failureMs, expected) => {
  const ended = expected === 'left' ? [] : ['left forgotten'];
  expect(await keyFor(job, failureMs)).toEqual({ key: expected, ended });
});
