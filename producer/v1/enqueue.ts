import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { QueueError } from '../../src/errors/problem.ts';
import type { ParsedRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import { createSdkRetryKeys } from './sdk-retry-keys.ts';

/** EnqueuedResponse is a request with its job: a new one, or the one that the same request created before. */
export interface EnqueuedResponse {
  job: JobView;
  isNew: boolean;
  /** Call this when the whole answer has been sent: from then on no retry needs to find the job. */
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
  // OpenAI's SDKs send the number of the try, 0 for the first. Without this header the caller is not assumed
  // to retry.
  const retryCount = headers['x-stainless-retry-count'];
  if (own !== undefined || retryCount === undefined) {
    const enqueued = await queue.enqueue(request, own === undefined ? undefined : String(own));
    return { ...enqueued, delivered: () => {} };
  }
  const retryKeys = createSdkRetryKeys(queue.storage);
  // An SDK sends the same headers again. Another project is another request.
  const { upstream_headers } = request;
  const asked = upstream_headers === undefined ? body : { body, upstream_headers };
  const earlier = retryCount === '0' ? undefined : await retryKeys.find(asked);
  const key = earlier ?? `sdk-retry-${randomUUID()}`;
  if (earlier === undefined) await retryKeys.remember(asked, key);
  try {
    return {
      ...(await queue.enqueue(request, key)),
      // A key that could not be removed does little harm: only a caller that sends the same request again
      // after a broken connection finds it.
      delivered: () => void retryKeys.clear(asked, key).catch(() => {}),
    };
  } catch (error: unknown) {
    // A refused request has no job for a retry to find. While Redis is away, the request may have created a
    // job all the same.
    const isRefused = error instanceof QueueError && error.code !== 'redis_unavailable';
    if (isRefused && earlier === undefined) await retryKeys.clear(asked, key).catch(() => {});
    throw error;
  }
}
