import { z } from 'zod';

const usageSchema = z.object({
  input_tokens: z.number(),
  input_tokens_details: z.object({ cached_tokens: z.number(), cache_write_tokens: z.number() }),
  output_tokens: z.number(),
  output_tokens_details: z.object({ reasoning_tokens: z.number() }),
  total_tokens: z.number(),
});
const entrySchema = z.object({
  response_id: z.string(),
  model: z.string(),
  snapshot: z.string(),
  service_tier: z.string(),
  metadata: z.record(z.string(), z.string()),
  question: z.string(),
  created_at: z.number(),
  ended_at: z.number().nullable(),
  completion_window: z.string(),
  window_ends_at: z.number().nullable(),
  state: z.string(),
  cancelled_at: z.number().nullable(),
  usage: usageSchema.nullable(),
  cost_usd: z.number().nullable(),
  list_usd: z.number().nullable(),
  polls: z.number(),
});
const ledgerSchema = z.object({
  totals: z.object({
    purchases: z.number(),
    running: z.number(),
    most_running: z.number(),
    throttled: z.number(),
    during_throttle: z.number(),
  }),
  throttled_at: z.array(z.number()),
  responses: z.array(entrySchema),
});

/** LedgerEntry is a purchase in the simulator's ledger. */
export type LedgerEntry = z.infer<typeof entrySchema>;
export type Ledger = z.infer<typeof ledgerSchema>;

/**
 * readLedger reads the simulator's ledger.
 * @param upstreamUrl the simulator's own URL and not a proxy's, so that the ledger can be read while
 * connections are broken.
 */
export async function readLedger(upstreamUrl: string): Promise<Ledger> {
  const answer = await fetch(new URL('/simulator/ledger', upstreamUrl));
  return ledgerSchema.parse(await answer.json());
}

export function isRunning({ state }: LedgerEntry): boolean {
  return state === 'queued' || state === 'in_progress';
}

/** purchasesByJob lists the purchases of each job, by the name with which its question begins. */
export function purchasesByJob({ responses }: Ledger): Map<string, LedgerEntry[]> {
  const byJob = new Map<string, LedgerEntry[]>();
  for (const entry of responses) {
    const name = jobNameIn(entry.question);
    const entries = byJob.get(name) ?? [];
    entries.push(entry);
    byJob.set(name, entries);
  }
  return byJob;
}

/**
 * jobNameIn reads the name in a question such as `job-0042 …`. The caller, the board and the ledger all show
 * it.
 */
export function jobNameIn(question: string): string {
  return question.split(' ', 1)[0] ?? '';
}
