import type { Wishes } from '../faults/faults.ts';
import { badRequest } from '../http/errors.ts';
import type { JsonObject } from './json.ts';

/** `cached` are some of `total`. */
export type InputTokens = { readonly total: number; readonly cached: number };

/** More cached than read is refused rather than cut down: the bill would not be the one that was asked for. */
export function readInputTokens(body: JsonObject, { numbers }: Wishes): InputTokens {
  const total = numbers.sim_input_tokens ?? countInputTokens(body);
  const cached = numbers.sim_cached_tokens ?? 0;
  if (cached <= total) return { total, cached };
  throw badRequest(
    `Invalid 'metadata.sim_cached_tokens': expected at most the ${total} tokens of the input, but got ${cached} instead. metadata.sim_input_tokens makes the input as long as you like.`,
    { param: 'metadata.sim_cached_tokens', code: 'invalid_value' },
  );
}

const CHARACTERS_PER_TOKEN = 4;
/** What the chat format itself costs, roughly. */
const MESSAGE_OVERHEAD_TOKENS = 7;

/** An estimate: four characters a token over everything the model would read. */
export function countInputTokens(body: JsonObject): number {
  const read = [body['input'], body['instructions'], body['tools']];
  const characters = read.reduce<number>((sum, part) => sum + lengthOf(part), 0);
  return MESSAGE_OVERHEAD_TOKENS + Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

function lengthOf(part: unknown): number {
  if (part === undefined || part === null) return 0;
  return typeof part === 'string' ? part.length : JSON.stringify(part).length;
}
