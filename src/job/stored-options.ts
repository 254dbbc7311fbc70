import type { JobsOptions } from 'bullmq';
import { z } from 'zod';
import type { EnqueuedNeed } from './token-estimate.ts';

/**
 * OurOptions are BullMQ's options of a job together with ours: BullMQ stores options that it does not know,
 * and ignores them.
 */
export interface OurOptions extends JobsOptions {
  /** The tenant; Bull Board shows it. */
  group?: { id: string };
  /** The URL that gets a webhook at the job's end. */
  webhook?: string;
  /** What the job will need of the upstream's quota. */
  need?: EnqueuedNeed;
  /** The terms of the job's metadata (`termOf`), separated by blanks; absent for a job without metadata. */
  terms?: string;
  /** Present when the job was enqueued with an idempotency key. */
  idempotency?: IdempotencyMark;
}

/** IdempotencyMark identifies the call with an idempotency key that became the job. */
export interface IdempotencyMark {
  /** A hash of the request. Another request with the same key is refused. */
  fingerprint: string;
  /**
   * A random id of the call. Of many simultaneous calls with one key, the job belongs to the call whose mark
   * it has.
   */
  call: string;
}

const storedOptions = z.object({
  attempts: z.number().positive().optional().catch(undefined),
  group: z.object({ id: z.string() }).optional().catch(undefined),
  webhook: z.string().optional().catch(undefined),
  priority: z.number().optional().catch(undefined),
  need: z
    .object({ input: z.number(), effort: z.string(), tier: z.string().optional() })
    .optional()
    .catch(undefined),
  idempotency: z.object({ fingerprint: z.string(), call: z.string() }).optional().catch(undefined),
});
export type StoredOptions = z.infer<typeof storedOptions>;

/** optionsFrom reads the valid part of a job's options: another BullMQ client may have written anything. */
export function optionsFrom(stored: unknown): StoredOptions {
  return storedOptions.safeParse(stored).data ?? {};
}
