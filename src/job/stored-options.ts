import type { JobsOptions } from 'bullmq';
import { z } from 'zod';
import { windowIn } from './completion-window.ts';
import { metadata } from './fields/metadata.ts';
import { type TraceContext, traceContextIn } from './fields/trace-context.ts';
import { REASONING_EFFORTS } from './request.ts';

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
  /**
   * The job's metadata, once more beside its data: a view shows it, and is made without the data, which may
   * have 50 MB. Absent for a job without metadata.
   */
  metadata?: Record<string, string>;
  /** When a delayed job is due, in Unix milliseconds; absent for a job that was enqueued without a delay. */
  due?: number;
  /** The terms of the job's metadata (`termOf`), separated by blanks; absent for a job without metadata. */
  terms?: string;
  /** `continuation` of the job's data. A follow-up finds it here without reading the data. */
  continuation?: string;
  /** Present when the job was enqueued with an idempotency key. */
  idempotency?: IdempotencyMark;
  /** The span that enqueued the job; absent when the job is part of no trace. */
  trace?: TraceContext;
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
  due: z.number().optional().catch(undefined),
  metadata: metadata.optional().catch(undefined),
  // Another BullMQ client writes only what it wants to say.
  need: z
    .object({
      input: z.number().optional().catch(undefined),
      effort: z.string().optional().catch(undefined),
      tier: z.string().optional().catch(undefined),
      by: z.number().optional().catch(undefined),
      window: z.string().optional().catch(undefined),
    })
    .optional()
    .catch(undefined),
  continuation: z.string().optional().catch(undefined),
  idempotency: z.object({ fingerprint: z.string(), call: z.string() }).optional().catch(undefined),
  trace: z.unknown().transform(traceContextIn).optional(),
});
export type StoredOptions = z.infer<typeof storedOptions>;

/** optionsFrom reads the valid part of a job's options: another BullMQ client may have written anything. */
export function optionsFrom(stored: unknown): StoredOptions {
  return storedOptions.safeParse(stored).data ?? {};
}

/** An estimate for English text. Other languages need more tokens, which the quota learns from usage. */
const CHARACTERS_PER_TOKEN = 4;
/**
 * The estimate for an image or a file in a request. The number of tokens of an image or a file does not
 * depend on its length in the request.
 */
const TOKENS_PER_FILE = 1000;

/** EnqueuedNeed is what a job needs of a quota, estimated from its request. It is stored with the job. */
export interface EnqueuedNeed {
  /** Input tokens, estimated from the length of the text. */
  input: number;
  /** The request's `reasoning.effort`; '' for the model's default, or for an unknown one. */
  effort: string;
  /** The request's `service_tier`. Each tier has its own prices. */
  tier?: string;
  /** `needed_by` of the request, in Unix milliseconds. */
  by?: number;
  /**
   * The completion window for which the request itself asks, in `background_options`; absent for `soonest`.
   * It may be one that this queue does not know.
   */
  window?: string;
}

/**
 * needOf estimates what a job needs.
 * @param body the body of the create request.
 * @param neededBy `needed_by` of the request.
 */
export function needOf(body: Record<string, unknown>, neededBy?: string): EnqueuedNeed {
  const { reasoning, service_tier: tier } = body;
  const asked =
    typeof reasoning === 'object' && reasoning !== null && 'effort' in reasoning ? reasoning.effort : '';
  // Averages are kept for each effort, so callers must not be able to invent new ones.
  const effort = REASONING_EFFORTS.find((known) => known === asked) ?? '';
  const window = windowIn(body);
  return {
    input: tokensIn(body),
    effort,
    ...(typeof tier === 'string' && { tier }),
    ...(neededBy !== undefined && { by: Date.parse(neededBy) }),
    ...(window !== undefined && { window }),
  };
}

function tokensIn(value: unknown): number {
  if (typeof value === 'string') {
    return value.startsWith('data:') ? TOKENS_PER_FILE : Math.ceil(value.length / CHARACTERS_PER_TOKEN);
  }
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, part) => sum + tokensIn(part), 0);
}
