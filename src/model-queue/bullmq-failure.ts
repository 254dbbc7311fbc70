import { publicId } from '../job/ids/response-id.ts';
import type { JobError } from '../job/view.ts';

/**
 * failedChildKey returns the key of the child whose failure has failed its parent, from BullMQ's reason
 * (`child o3q:{o3}:7 failed`, in bullmq 6.7.0); undefined: the job failed for another reason.
 */
export function failedChildKey(failedReason: string): string | undefined {
  return /^child (.+) failed$/s.exec(failedReason)?.[1];
}

/**
 * bullmqError returns the error of a job that BullMQ has failed by itself: it was recovered too often
 * (`job stalled more than allowable limit`, in bullmq 6.7.0), a child with `failParentOnFailure` failed, or
 * our own code broke.
 *
 * @param childReason why the child failed. Default: the message does not say it.
 */
export function bullmqError(failedReason: string, childReason?: string): JobError {
  const childKey = failedChildKey(failedReason);
  if (childKey !== undefined) {
    const [, model, id] = /:\{([^{}]+)\}:(.+)$/s.exec(childKey) ?? [];
    const child = model === undefined || id === undefined ? childKey : publicId(model, id);
    const why = childReason === undefined ? '' : `: ${childReason}`;
    return { code: 'child_failed', message: `child job ${child} failed${why}`, retryable: false };
  }
  const code = failedReason.startsWith('job stalled') ? 'stalled' : 'internal_error';
  return { code, message: failedReason, retryable: code === 'stalled' };
}
