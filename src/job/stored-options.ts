import type { JobsOptions } from 'bullmq';
import { z } from 'zod';
import type { EnqueuedNeed } from './token-estimate.ts';

/** What BullMQ keeps of a job beside its data, and what we keep there: BullMQ stores what it does not know and looks no further. */
export interface OurOptions extends JobsOptions {
  /** The tenant; Bull Board shows it. */
  group?: { id: string };
  /** Where the job's end is to be told. */
  webhook?: string;
  /** What it will need of the upstream's quota. */
  need?: EnqueuedNeed;
  /** Of a job that was enqueued with an idempotency key. */
  idempotency?: {
    /** What was asked: another request under the same key is refused. */
    fingerprint: string;
    /** Another one for each call: of many at once, the job is that of the call whose mark it carries. */
    call: string;
  };
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

/** Another BullMQ client may have written anything. */
export function optionsFrom(stored: unknown): StoredOptions {
  return storedOptions.safeParse(stored).data ?? {};
}
