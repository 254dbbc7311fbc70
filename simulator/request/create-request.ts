import { badRequest, invalidType, invalidValue, missingParameter } from '../api/errors.ts';
import {
  arrayField,
  booleanField,
  enumField,
  integerField,
  type Metadata,
  metadataField,
  numberField,
  objectField,
  stringField,
} from '../api/fields.ts';
import { isObject, type JsonObject } from '../api/json.ts';
import { readSimParameters, type SimParameters } from '../faults/faults.ts';
import type { Models } from '../models/models.ts';
import type { Account } from './account.ts';
import { type BackgroundOptions, NO_BACKGROUND_OPTIONS } from './completion-window.ts';
import { countInputTokens } from './input.ts';

const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

const SUMMARIES = ['auto', 'concise', 'detailed'];
const ROLES = ['assistant', 'system', 'developer', 'user'];
const TIERS = ['auto', 'default', 'flex', 'scale', 'priority', 'fast', 'ultrafast'];
const TOOL_CHOICES = ['none', 'auto', 'required'];
const MIN_OUTPUT_TOKENS = 16;

/** InputTokens are the tokens of the input. */
export type InputTokens = {
  readonly total: number;
  /** Read from the cache; part of `total`. */
  readonly cached: number;
  /** Written to the cache; another part of `total`. */
  readonly written: number;
  /** The part of `written` that is kept for 12 hours; undefined: the response does not tell it. */
  readonly written12h: number | undefined;
};

/** CreateRequest is a body of `POST /v1/responses` that passed OpenAI's checks. */
export type CreateRequest = {
  /** The body as received. The response echoes it, with the fields that the simulator does not know. */
  readonly body: JsonObject;
  readonly account: Account;
  readonly model: { readonly id: string; readonly snapshot: string };
  readonly background: boolean;
  readonly stream: boolean;
  readonly store: boolean;
  readonly effort: Effort;
  readonly wantsSummary: boolean;
  readonly wantsEncryptedReasoning: boolean;
  readonly wantsObfuscation: boolean;
  readonly maxOutputTokens: number | undefined;
  readonly previousResponseId: string | undefined;
  /** What the server grants of the body's `background_options`. */
  readonly backgroundOptions: BackgroundOptions;
  readonly metadata: Metadata;
  readonly sim: SimParameters;
  readonly inputTokens: InputTokens;
};

export function readCreateRequest(body: unknown, account: Account, models: Models): CreateRequest {
  if (!isObject(body)) throw invalidType('body', 'an object', body);
  const metadata = metadataField(body);
  const background = booleanField(body, 'background') ?? false;
  const stream = booleanField(body, 'stream') ?? false;
  const store = booleanField(body, 'store') ?? true;
  const modelName = readModelName(body, models);
  checkInput(body);
  checkInstructions(body);
  checkTools(body);
  enumField(body, 'service_tier', 'service_tier', TIERS);
  numberField(body, 'top_p', 0, 1);
  integerField(body, 'top_logprobs', 0, 20);
  integerField(body, 'max_tool_calls', 1);
  booleanField(body, 'parallel_tool_calls');
  const maxOutputTokens = integerField(body, 'max_output_tokens', MIN_OUTPUT_TOKENS);
  const reasoning = objectField(body, 'reasoning') ?? {};
  const effort = enumField(reasoning, 'effort', 'reasoning.effort', EFFORTS) as Effort | undefined;
  const summary = enumField(reasoning, 'summary', 'reasoning.summary', SUMMARIES);
  const include = arrayField(body, 'include') ?? [];
  const streamOptions = objectField(body, 'stream_options') ?? {};
  const previousResponseId = stringField(body, 'previous_response_id');
  if (previousResponseId !== undefined && (body['conversation'] ?? undefined) !== undefined) {
    throw badRequest(
      "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Provide only one of them.",
      { param: 'previous_response_id', code: 'mutually_exclusive_parameters' },
    );
  }
  const model = models.find(modelName);
  checkTemperature(body, model.id);
  const sim = readSimParameters(metadata);
  return {
    body,
    account,
    model,
    background,
    stream,
    store,
    effort: effort ?? 'medium',
    wantsSummary: summary !== undefined,
    wantsEncryptedReasoning: include.includes('reasoning.encrypted_content'),
    wantsObfuscation: booleanField(streamOptions, 'include_obfuscation') ?? true,
    maxOutputTokens,
    previousResponseId,
    backgroundOptions: NO_BACKGROUND_OPTIONS,
    metadata,
    sim,
    inputTokens: readInputTokens(body, sim),
  };
}

/**
 * Refuses more cached and written tokens than the input has. If the simulator reduced the numbers, it would
 * bill another amount than the request asks for.
 */
export function readInputTokens(body: JsonObject, { numbers }: SimParameters): InputTokens {
  const total = numbers.sim_input_tokens ?? countInputTokens(body);
  const cached = numbers.sim_cached_tokens ?? 0;
  const written = numbers.sim_cache_write_tokens ?? 0;
  const written12h = numbers.sim_cache_write_12h_tokens;
  atMost('sim_cached_tokens', cached, total, 'the tokens of the input');
  atMost('sim_cache_write_tokens', written, total - cached, 'the input tokens that are not cached');
  atMost('sim_cache_write_12h_tokens', written12h ?? 0, written, 'sim_cache_write_tokens');
  return { total, cached, written, written12h };
}

function atMost(name: string, value: number, most: number, what: string): void {
  if (value <= most) return;
  throw badRequest(
    `Invalid 'metadata.${name}': expected at most ${most} (${what}), but got ${value} instead. metadata.sim_input_tokens makes the input as long as you like.`,
    { param: `metadata.${name}`, code: 'invalid_value' },
  );
}

/**
 * At OpenAI a stored prompt may name the model. The simulator stores no prompts, so it uses its default
 * model.
 */
function readModelName(body: JsonObject, models: Models): string {
  const name = stringField(body, 'model');
  if (name !== undefined) return name;
  if (objectField(body, 'prompt') !== undefined) return models.defaultName;
  throw missingParameter('model');
}

function checkInput(body: JsonObject): void {
  const input = body['input'] ?? undefined;
  if (input === undefined) {
    const stands = ['prompt', 'conversation', 'previous_response_id'].some((name) => body[name] ?? false);
    if (stands) return;
    throw badRequest(
      'One of "input" or "previous_response_id" or "prompt" or "conversation" must be provided.',
      {
        param: 'input',
        code: 'missing_required_parameter',
      },
    );
  }
  if (typeof input === 'string') return;
  if (!Array.isArray(input)) throw invalidType('input', 'one of a string or array of items', input);
  input.forEach(checkItem);
}

function checkItem(item: unknown, index: number): void {
  const path = `input[${index}]`;
  if (!isObject(item)) throw invalidType(path, 'an object', item);
  const type = item['type'] ?? 'message';
  if (typeof type !== 'string') throw invalidType(`${path}.type`, 'a string', type);
  if (type !== 'message') return;
  if (item['role'] === undefined) throw missingParameter(`${path}.role`);
  enumField(item, 'role', `${path}.role`, ROLES);
  const content = item['content'];
  if (content === undefined) throw missingParameter(`${path}.content`);
  if (typeof content === 'string') return;
  if (!Array.isArray(content)) {
    throw invalidType(`${path}.content`, 'one of an array of objects or string', content);
  }
  content.forEach((part: unknown, partIndex) => {
    const partPath = `${path}.content[${partIndex}]`;
    if (!isObject(part)) throw invalidType(partPath, 'an object', part);
    if (part['type'] === undefined) throw missingParameter(`${partPath}.type`);
  });
}

function checkInstructions(body: JsonObject): void {
  const instructions = body['instructions'] ?? undefined;
  if (instructions === undefined || typeof instructions === 'string' || Array.isArray(instructions)) return;
  throw invalidType('instructions', 'one of a string or array of items', instructions);
}

function checkTools(body: JsonObject): void {
  (arrayField(body, 'tools') ?? []).forEach((tool, index) => {
    const path = `tools[${index}]`;
    if (!isObject(tool)) throw invalidType(path, 'an object', tool);
    if (typeof tool['type'] !== 'string') throw missingParameter(`${path}.type`);
    if (tool['type'] === 'function' && typeof tool['name'] !== 'string') {
      throw missingParameter(`${path}.name`);
    }
  });
  const choice = body['tool_choice'] ?? undefined;
  if (choice === undefined || isObject(choice)) return;
  if (typeof choice !== 'string') throw invalidType('tool_choice', 'one of a string or object', choice);
  if (!TOOL_CHOICES.includes(choice)) throw invalidValue('tool_choice', choice, TOOL_CHOICES);
}

/** Reasoning models take no temperature. o3 tolerates the default value; later models refuse even that. */
function checkTemperature(body: JsonObject, model: string): void {
  const temperature = numberField(body, 'temperature', 0, 2);
  if (temperature === undefined) return;
  if (!model.startsWith('o3')) {
    throw badRequest("Unsupported parameter: 'temperature' is not supported with this model.", {
      param: 'temperature',
      code: 'unsupported_parameter',
    });
  }
  if (temperature !== 1) {
    throw badRequest(
      `Unsupported value: 'temperature' does not support ${temperature} with this model. Only the default (1) value is supported.`,
      { param: 'temperature', code: 'unsupported_value' },
    );
  }
}
