import { REASONING_EFFORTS } from './request.ts';

/** Of English text; other languages need more, which the quota learns from what was really used. */
const CHARACTERS_PER_TOKEN = 4;
/** An image or a file that is sent along: what it costs does not follow from its length. */
const TOKENS_PER_FILE = 1000;

/** What a job needs of a quota, as far as can be told before it is sent. */
export interface EnqueuedNeed {
  /** Tokens, by the length of the text. */
  input: number;
  /** `reasoning.effort`; '': the model's own default, or one that nobody has heard of. */
  effort: string;
  /** `service_tier`, which has a price of its own. */
  tier?: string;
}

/** @param body of the create request. */
export function needOf(body: Record<string, unknown>): EnqueuedNeed {
  const { reasoning, service_tier: tier } = body;
  const asked =
    typeof reasoning === 'object' && reasoning !== null && 'effort' in reasoning ? reasoning.effort : '';
  // Averages are kept by it: callers must not be able to make ever more of them.
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
