import { ExactNumber } from '../../../src/job/exact-json.ts';
import {
  booleanIn,
  cannotCarry,
  type Fields,
  isSet,
  listIn,
  objectIn,
  pick,
  unexpected,
  unknownParameter,
} from './chat-fields.ts';
import { textFormatFrom, toolChoiceFrom, toolsFrom } from './chat-tools.ts';
import { inputItemsFrom } from './message-items.ts';

/** ChatRequest is a body of Chat Completions as a body of the Responses API, and how to answer it. */
export interface ChatRequest {
  body: Fields;
  isStreamed: boolean;
  /** Whether a stream ends with a chunk that has the usage. */
  includesUsage: boolean;
}

/** Parameters that both APIs have. */
const SAME = [
  'model',
  'stream',
  'parallel_tool_calls',
  'temperature',
  'top_p',
  'metadata',
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'service_tier',
  'moderation',
];
/** Parameters of the Responses API that a chat may use, too. */
const OF_RESPONSES = [
  'previous_response_id',
  'conversation',
  'truncation',
  'max_tool_calls',
  'background_options',
];
/** Parameters that become others. */
const TRANSLATED = [
  'messages',
  'max_completion_tokens',
  'max_tokens',
  'reasoning_effort',
  'reasoning',
  'verbosity',
  'response_format',
  'tools',
  'tool_choice',
  'logprobs',
  'top_logprobs',
  'include',
  'store',
  'stream_options',
];
/** `seed` is only a wish, by OpenAI's own words, and many programs send it. */
const IGNORED = ['seed'];
const KNOWN = new Set([...SAME, ...OF_RESPONSES, ...TRANSLATED, ...IGNORED]);

/** Uncarried is a parameter without a counterpart in the Responses API. */
interface Uncarried {
  /** Whether the value asks for nothing. Such a value is left out. Default: only null does. */
  isNothing?: (value: unknown) => boolean;
  /** What the caller can do instead, as a clause. */
  instead?: string;
}

const isZero = (value: unknown): boolean => isNumber(value) && Number(value) === 0;
const isEmpty = (value: unknown): boolean =>
  value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
const UNCARRIED = new Map<string, Uncarried>([
  [
    'n',
    {
      isNothing: (value) => isNumber(value) && Number(value) === 1,
      instead: 'send one call for each answer',
    },
  ],
  ['stop', { isNothing: isEmpty }],
  ['logit_bias', { isNothing: isEmpty }],
  ['frequency_penalty', { isNothing: isZero }],
  ['presence_penalty', { isNothing: isZero }],
  ['prediction', {}],
  ['audio', {}],
  ['modalities', { isNothing: (value) => Array.isArray(value) && value.every((each) => each === 'text') }],
  ['web_search_options', { instead: 'use `/v1/responses` with the tool `web_search`' }],
  ['functions', { instead: 'use `tools`' }],
  ['function_call', { instead: 'use `tool_choice`' }],
]);

/** The smallest `max_output_tokens` of the Responses API. Health checks ask a chat for 1 to 5 tokens. */
const LEAST_TOKENS = 16;

/**
 * chatRequestFrom translates a body of Chat Completions:
 * https://platform.openai.com/docs/api-reference/chat/create
 * A parameter that is null counts as absent.
 * @throws {OpenAiError} for what is not understood, and for what cannot be carried.
 */
export function chatRequestFrom(chat: Fields): ChatRequest {
  refuseUncarried(chat);
  const isContinued = isSet(chat['previous_response_id']) || isSet(chat['conversation']);
  const streamOptions = isSet(chat['stream_options'])
    ? objectIn(chat['stream_options'], 'stream_options')
    : {};
  return {
    isStreamed: booleanIn(chat['stream'], 'stream'),
    includesUsage: booleanIn(streamOptions['include_usage'], 'stream_options.include_usage'),
    body: {
      ...pick(chat, SAME),
      input: inputItemsFrom(chat['messages'], isContinued),
      ...limitOf(chat),
      ...reasoningOf(chat),
      ...textOf(chat),
      ...(isSet(chat['tools']) && { tools: toolsFrom(chat['tools']) }),
      ...(isSet(chat['tool_choice']) && { tool_choice: toolChoiceFrom(chat['tool_choice']) }),
      ...logprobsOf(chat),
      // In a chat, true asks for a copy to train with; in the Responses API, for a response that can be
      // found.
      ...(chat['store'] === false && { store: false }),
      ...pick(chat, OF_RESPONSES),
    },
  };
}

function refuseUncarried(chat: Fields): void {
  for (const [name, value] of Object.entries(chat)) {
    if (KNOWN.has(name) || !isSet(value)) continue;
    const uncarried = UNCARRIED.get(name);
    if (uncarried === undefined) throw unknownParameter(name.slice(0, 100));
    if (uncarried.isNothing?.(value) !== true) throw cannotCarry(name, uncarried.instead);
  }
}

function limitOf(chat: Fields): Fields {
  const name = isSet(chat['max_completion_tokens']) ? 'max_completion_tokens' : 'max_tokens';
  const value = chat[name];
  if (!isSet(value)) return {};
  const tokens = isNumber(value) ? Number(value) : Number.NaN;
  if (Number.isSafeInteger(tokens) && tokens > 0)
    return { max_output_tokens: Math.max(tokens, LEAST_TOKENS) };
  throw unexpected(name, 'a whole number above 0', value);
}

function reasoningOf({ reasoning_effort: effort, reasoning }: Fields): Fields {
  if (!isSet(effort) && !isSet(reasoning)) return {};
  const fields = isSet(reasoning) ? objectIn(reasoning, 'reasoning') : {};
  return { reasoning: { ...(isSet(effort) && { effort }), ...fields } };
}

function textOf({ verbosity, response_format: format }: Fields): Fields {
  if (!isSet(verbosity) && !isSet(format)) return {};
  return {
    text: {
      ...(isSet(format) && { format: textFormatFrom(format) }),
      ...(isSet(verbosity) && { verbosity }),
    },
  };
}

function logprobsOf({ logprobs, top_logprobs: top, include }: Fields): Fields {
  const included = isSet(include) ? listIn(include, 'include') : [];
  if (!booleanIn(logprobs, 'logprobs')) return included.length > 0 ? { include: included } : {};
  const wanted = 'message.output_text.logprobs';
  return { include: [...included.filter((each) => each !== wanted), wanted], top_logprobs: top ?? 0 };
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' || value instanceof ExactNumber;
}
