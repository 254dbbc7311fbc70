import type { IncomingHttpHeaders } from 'node:http';
import { QueueError } from '../../src/errors/problem.ts';
import { traceContextIn } from '../../src/job/fields/trace-context.ts';
import type { ParsedRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { Ack } from '../../src/redis/ack/level.ts';
import { idempotencyKeyIn } from '../http/route.ts';
import type { Undelivered, UndeliveredCall } from './undelivered.ts';

/** EnqueuedResponse is a request with its job: a new one, or the one that the same request created before. */
export interface EnqueuedResponse {
  job: JobView;
  isNew: boolean;
  /** What Redis has done with the job when the call was accepted. */
  ack: Ack;
  /** undefined: the caller's own idempotency key says which calls get this job. */
  call: UndeliveredCall | undefined;
}

/**
 * enqueueResponse enqueues a request once. It uses the caller's own idempotency key. If the caller sent none,
 * it uses a key of ours, which the next call with the same request gets if the answer to this call is not
 * delivered.
 *
 * @param isAgain whether the caller wants a new answer, not the undelivered one of an earlier call.
 * @param failureMs see Door.
 * @throws {QueueError}
 */
export async function enqueueResponse(
  request: ParsedRequest,
  { headers, isAgain, failureMs }: { headers: IncomingHttpHeaders; isAgain: boolean; failureMs: number },
  queue: TenantQueue,
  undelivered: Undelivered,
): Promise<EnqueuedResponse> {
  const [own, trace] = [idempotencyKeyIn(headers), traceContextIn(headers)];
  if (own !== undefined) return { ...(await queue.enqueue(request, own, trace)), call: undefined };
  // OpenAI's SDKs send the number of retries so far: 0 at the first try.
  const isRetry = Number(headers['x-stainless-retry-count'] ?? 0) > 0;
  const options = { storage: queue.storage, isRetry, isAgain };
  for (;;) {
    const call = await undelivered.open(request, options);
    try {
      const enqueued = await queue.enqueue(request, call.idempotencyKey, trace);
      if (enqueued.isNew || !isLost(enqueued.job, failureMs)) return { ...enqueued, call };
    } catch (error: unknown) {
      // A refused request has no job. While Redis is away, the request may have created one nevertheless.
      const isRefused = error instanceof QueueError && error.code !== 'redis_unavailable';
      void call.end(isRefused ? 'forgotten' : 'left').catch(() => {});
      throw error;
    }
    // The key is used up, so the next turn of the loop takes another one. After the last old key comes a new
    // one, which ends the loop.
    await call.end('forgotten');
  }
}

/**
 * isLost is true for a job whose answer no later call wants: it is being cancelled, or it has failed or was
 * cancelled more than `failureMs` ago.
 */
function isLost(job: JobView, failureMs: number): boolean {
  if (job.status === 'active') return job.cancelling;
  if (job.status !== 'failed' && job.status !== 'cancelled') return false;
  return failureMs === 0 || Date.parse(job.finished_at) + failureMs <= Date.now();
}
