import { REASONING_EFFORTS } from './request.ts';

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
}

/** needOf estimates what a job needs. @param body the body of the create request. */
export function needOf(body: Record<string, unknown>): EnqueuedNeed {
  const { reasoning, service_tier: tier } = body;
  const asked =
    typeof reasoning === 'object' && reasoning !== null && 'effort' in reasoning ? reasoning.effort : '';
  // Averages are kept for each effort, so callers must not be able to invent new ones.
  const effort = REASONING_EFFORTS.find((known) => known === asked) ?? '';
  return { input: tokensIn(body), effort, ...(typeof tier === 'string' && { tier }) };
}

function tokensIn(value: unknown): number {
  if (typeof value === 'string') {
    return value.startsWith('data:') ? TOKENS_PER_FILE : Math.ceil(value.length / CHARACTERS_PER_TOKEN);
  }
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, part) => sum + tokensIn(part), 0);
}
