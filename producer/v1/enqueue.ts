import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { QueueError } from '../../src/errors/problem.ts';
import type { ParsedRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';

/** A request that has become a job, or has found the one that it had become before. */
export interface Accepted {
  job: JobView;
  isNew: boolean;
  /** To be called when the whole answer has gone out: nobody comes back for it. */
  delivered: () => void;
}

/** Enqueues what was asked, once: by the caller's own key, or for a caller that asks again by itself when no answer comes. */
export async function accept(
  request: ParsedRequest,
  body: unknown,
  headers: IncomingHttpHeaders,
  queue: TenantQueue,
): Promise<Accepted> {
  const own = headers['idempotency-key'];
  if (own !== undefined) return { ...(await queue.enqueue(request, String(own))), delivered: () => {} };
  // OpenAI's SDKs say which try it is: 0 for the first. Whoever does not say it, is not known to try again.
  const tries = headers['x-stainless-retry-count'];
  if (tries === undefined) return { ...(await queue.enqueue(request)), delivered: () => {} };
  const { sdkRetryKeys } = queue;
  const earlier = tries === '0' ? undefined : await sdkRetryKeys.take(body);
  const key = earlier ?? `undelivered-${randomUUID()}`;
  if (earlier === undefined) await sdkRetryKeys.note(body, key);
  return {
    ...(await queue.enqueue(request, key).catch(async (error: unknown) => {
      // Refused, so that nobody will ever take the note. While Redis is away the job may be there all the same.
      const refused = error instanceof QueueError && error.code !== 'redis_unavailable';
      if (refused && earlier === undefined) await sdkRetryKeys.deliver(body, key).catch(() => {});
      throw error;
    })),
    // Left behind, it can only be found by a caller that asks the same again after a broken connection.
    delivered: () => void sdkRetryKeys.deliver(body, key).catch(() => {}),
  };
}
