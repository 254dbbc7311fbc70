import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { QueueError } from '../../src/errors/problem.ts';
import type { ParsedRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import { createSdkRetryKeys } from './sdk-retry-keys.ts';

/** EnqueuedResponse is a request that has become a job, or has found the job that it became before. */
export interface EnqueuedResponse {
  job: JobView;
  isNew: boolean;
  /** To be called when the whole answer has gone out: a retry need not find the job any more. */
  delivered: () => void;
}

/**
 * enqueueResponse enqueues a request once: under the caller's own idempotency key, or under one of ours for
 * an SDK that retries by itself.
 * @throws {QueueError}
 */
export async function enqueueResponse(
  request: ParsedRequest,
  body: unknown,
  headers: IncomingHttpHeaders,
  queue: TenantQueue,
): Promise<EnqueuedResponse> {
  const own = headers['idempotency-key'];
  // OpenAI's SDKs say which try it is: 0 for the first. A caller that does not say so is not known to retry.
  const retryCount = headers['x-stainless-retry-count'];
  if (own !== undefined || retryCount === undefined) {
    const enqueued = await queue.enqueue(request, own === undefined ? undefined : String(own));
    return { ...enqueued, delivered: () => {} };
  }
  const retryKeys = createSdkRetryKeys(queue.storage);
  const earlier = retryCount === '0' ? undefined : await retryKeys.find(body);
  const key = earlier ?? `sdk-retry-${randomUUID()}`;
  if (earlier === undefined) await retryKeys.remember(body, key);
  try {
    return {
      ...(await queue.enqueue(request, key)),
      // A key that cannot be cleared is only found by a caller that sends the same request again after a
      // broken connection.
      delivered: () => void retryKeys.clear(body, key).catch(() => {}),
    };
  } catch (error: unknown) {
    // A refused request has no job for a retry to find. While Redis is away it may have one.
    const isRefused = error instanceof QueueError && error.code !== 'redis_unavailable';
    if (isRefused && earlier === undefined) await retryKeys.clear(body, key).catch(() => {});
    throw error;
  }
}
