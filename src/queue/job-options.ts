import type { JobsOptions } from 'bullmq';
import { z } from 'zod';

/** What BullMQ keeps of a job beside its data, and what we keep there: BullMQ stores what it does not know and looks no further. */
export interface OurOptions extends JobsOptions {
  /** The tenant; Bull Board shows it. */
  group?: { id: string };
}

const storedOptions = z.object({
  attempts: z.number().positive().optional().catch(undefined),
  group: z.object({ id: z.string() }).optional().catch(undefined),
});
export type StoredOptions = z.infer<typeof storedOptions>;

/** Another BullMQ client may have written anything. */
export function optionsFrom(stored: unknown): StoredOptions {
  return storedOptions.safeParse(stored).data ?? {};
}
