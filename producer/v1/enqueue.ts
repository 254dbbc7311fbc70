import type { IncomingHttpHeaders } from 'node:http';
import { QueueError } from '../../src/errors/problem.ts';
import type { ParsedRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import { idempotencyKeyIn } from '../http/route.ts';
import type { Undelivered, UndeliveredCall } from './undelivered.ts';

/** EnqueuedResponse is a request with its job: a new one, or the one that the same request created before. */
export interface EnqueuedResponse {
  job: JobView;
  isNew: boolean;
  /** undefined: the caller's own idempotency key says which calls get this job. */
  call: UndeliveredCall | undefined;
}

/**
 * enqueueResponse enqueues a request once. It uses the caller's own idempotency key. If the caller sent none,
 * it uses a key of ours, which the next call with the same request gets if the answer to this call is not
 * delivered.
 *
 * @param isAgain whether the caller wants a new answer, not the undelivered one of an earlier call.
 * @throws {QueueError}
 */
export async function enqueueResponse(
  request: ParsedRequest,
  { headers, isAgain }: { headers: IncomingHttpHeaders; isAgain: boolean },
  queue: TenantQueue,
  undelivered: Undelivered,
): Promise<EnqueuedResponse> {
  const own = idempotencyKeyIn(headers);
  if (own !== undefined) return { ...(await queue.enqueue(request, own)), call: undefined };
  // OpenAI's SDKs send the number of retries so far: 0 at the first try.
  const isRetry = Number(headers['x-stainless-retry-count'] ?? 0) > 0;
  const options = { storage: queue.storage, isRetry, isAgain };
  for (;;) {
    const call = await undelivered.open(request, options);
    try {
      const enqueued = await queue.enqueue(request, call.idempotencyKey);
      if (enqueued.isNew || !isLost(enqueued.job)) return { ...enqueued, call };
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
 * isLost is true for a job that has failed or was cancelled, or is being cancelled: no later caller wants its
 * answer.
 */
function isLost(job: JobView): boolean {
  return job.status === 'failed' || job.status === 'cancelled' || (job.status === 'active' && job.cancelling);
}
