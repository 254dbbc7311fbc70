import { badRequest, invalidValue } from '../api/errors.ts';
import { arrayField, type Metadata, objectField, requireKnown, requireRange } from '../api/fields.ts';
import type { JsonObject } from '../api/json.ts';
import { ODD_REPLY_NAMES, type OddReply, readReply } from './odd-replies.ts';

/**
 * FAULTS lists the faults that a caller can ask for, by the moment at which they happen: in the create
 * request, on one connection of the stream, in the form of all streams, in the response's life, in a later
 * lookup, in how the server treats the completion window, or in the webhook at the response's end. One
 * request may ask for one fault of each moment, as in `sim: "cut, gone"`, and for any number of faults of the
 * moment `form`.
 */
const FAULTS = {
  create: [
    '400',
    '429',
    '429_bare',
    '429_quota',
    '500',
    '502_html',
    '503',
    'reset',
    'hang',
    'reset_created',
    'hang_created',
    'refuse',
    'window_refused',
    ...ODD_REPLY_NAMES,
  ],
  stream: ['cut', 'eof', 'mute'],
  form: [
    'no_opening',
    'no_indexes',
    'no_types',
    'no_numbers',
    'no_deltas',
    'no_end',
    'end_bare',
    'end_in_progress',
    'done',
    'twice',
    'crlf',
    'other_ids',
    'noise',
    'comments',
    'plain_text',
  ],
  response: [
    'stuck_queued',
    'stall',
    'failed',
    'error_event',
    'error_event_flat',
    'incomplete',
    'usage_null',
    'usage_empty',
    'refusal',
    'output_empty',
    'output_half',
    'end',
    'late_completion',
  ],
  lookup: ['gone', 'poll_401', 'poll_404', 'poll_429', 'poll_500', 'poll_html', 'poll_refuse'],
  window: ['window_ignored', 'window_missed', 'window_early'],
  webhook: ['webhook_lost', 'webhook_twice', 'webhook_late', 'webhook_forged'],
} as const;

export type CreateFault = (typeof FAULTS.create)[number];
type StreamFault = (typeof FAULTS.stream)[number];
export type ResponseFault = (typeof FAULTS.response)[number];
export type FormFault = (typeof FAULTS.form)[number];
type LookupFault = (typeof FAULTS.lookup)[number];
export type WindowFault = (typeof FAULTS.window)[number];
export type WebhookFault = (typeof FAULTS.webhook)[number];

export const FAULT_NAMES: readonly string[] = Object.values(FAULTS).flat();

const ERROR_CODES = [
  'server_error',
  'rate_limit_exceeded',
  'invalid_prompt',
  'data_residency_mismatch',
  'bio_policy',
  'vector_store_timeout',
  'insufficient_quota',
  'invalid_api_key',
  'model_not_found',
  'server_is_overloaded',
  'unknown_error',
] as const;

const SERVED_TIERS = ['default', 'flex', 'scale', 'priority'] as const;
export type ServedTier = (typeof SERVED_TIERS)[number];

/**
 * The ranges of the parameters that are whole numbers. Requests have them as strings, because metadata values
 * are strings.
 */
const NUMBER_RANGES = {
  sim_times: [1, 1_000_000],
  sim_think_ms: [0, 86_400_000],
  sim_input_tokens: [1, 10_000_000],
  sim_cached_tokens: [0, 10_000_000],
  sim_cache_write_tokens: [0, 10_000_000],
  sim_cache_write_12h_tokens: [0, 10_000_000],
  sim_output_tokens: [1, 20_000],
  sim_reasoning_tokens: [0, 1_000_000],
  sim_deltas: [1, 20_000],
  sim_events: [0, 100_000],
  sim_connections: [1, 1_000_000],
  sim_polls: [1, 1_000_000],
  sim_retry_after_ms: [0, 86_400_000],
  sim_poll_after_ms: [0, 86_400_000],
  sim_webhook_ms: [0, 86_400_000],
} as const satisfies Record<`sim_${string}`, readonly [number, number]>;

type NumberName = keyof typeof NUMBER_RANGES;

export const PARAMETER_NAMES: readonly string[] = [
  'sim_key',
  'sim_code',
  'sim_tier',
  'sim_refusal',
  'sim_end',
  ...Object.keys(NUMBER_RANGES),
];

/**
 * Faults are the faults of one create: at most one for each moment, and any number that change the form of
 * the stream.
 */
export type Faults = {
  readonly create: CreateFault | undefined;
  readonly stream: StreamFault | undefined;
  readonly form: readonly FormFault[];
  readonly response: ResponseFault | undefined;
  readonly lookup: LookupFault | undefined;
  readonly window: WindowFault | undefined;
  readonly webhook: WebhookFault | undefined;
};

/** SimParameters are the `sim` and `sim_*` values of a request's metadata. */
export type SimParameters = {
  readonly faults: Faults;
  /**
   * The key by which `sim_times` recognizes a repeated question. Default: the request's model, input and
   * faults.
   */
  readonly key: string | undefined;
  readonly errorCode: string;
  /** The tier that the response names as its own. Default: the requested one. */
  readonly tier: ServedTier | undefined;
  /** What `refuse` and `poll_refuse` answer. */
  readonly refusal: OddReply;
  readonly end: EndChange;
  readonly numbers: Readonly<Partial<Record<NumberName, number>>>;
};

/**
 * EndChange is what the fault `end` changes in the finished response: the fields that it sets, and those that
 * it removes.
 */
export type EndChange = { readonly set: JsonObject; readonly unset: readonly string[] };

export const NO_FAULTS: Faults = {
  create: undefined,
  stream: undefined,
  form: [],
  response: undefined,
  lookup: undefined,
  window: undefined,
  webhook: undefined,
};

/**
 * readSimParameters reads the parameters and refuses unknown names. If the simulator ignored a misspelt
 * fault, a test could pass for the wrong reason.
 */
export function readSimParameters(metadata: Metadata): SimParameters {
  for (const key of Object.keys(metadata)) {
    if (key.startsWith('sim_') && !PARAMETER_NAMES.includes(key)) {
      throw badRequest(
        `Unknown simulator parameter: 'metadata.${key}'. Supported parameters are: ${PARAMETER_NAMES.join(', ')}.`,
        { param: `metadata.${key}`, code: 'unknown_parameter' },
      );
    }
  }
  return {
    faults: readFaults(metadata['sim']),
    key: metadata['sim_key'],
    errorCode: readErrorCode(metadata['sim_code']),
    tier: readTier(metadata['sim_tier']),
    refusal: readReply(readJson('sim_refusal', metadata['sim_refusal'])),
    end: readEnd(metadata['sim_end']),
    numbers: readNumbers(metadata),
  };
}

function readFaults(text: string | undefined): Faults {
  if (text === undefined) return NO_FAULTS;
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!FAULT_NAMES.includes(name)) throw invalidValue('metadata.sim', name, FAULT_NAMES);
  }
  return {
    create: onlyOne(names, FAULTS.create),
    stream: onlyOne(names, FAULTS.stream),
    form: FAULTS.form.filter((name) => names.includes(name)),
    response: onlyOne(names, FAULTS.response),
    lookup: onlyOne(names, FAULTS.lookup),
    window: onlyOne(names, FAULTS.window),
    webhook: onlyOne(names, FAULTS.webhook),
  };
}

function onlyOne<Name extends string>(names: readonly string[], kind: readonly Name[]): Name | undefined {
  const [first, second] = kind.filter((name) => names.includes(name));
  if (second === undefined) return first;
  throw badRequest(
    `Invalid 'metadata.sim': '${first}' and '${second}' happen at the same moment, so only one of them can. Choose one of: ${kind.join(', ')}.`,
    { param: 'metadata.sim', code: 'invalid_value' },
  );
}

/** A value in metadata is a string, so an object comes as JSON. */
function readJson(name: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '{}');
  } catch {
    throw badRequest(`Invalid 'metadata.${name}': expected JSON in a string, but got '${text}' instead.`, {
      param: `metadata.${name}`,
      code: 'invalid_value',
    });
  }
}

function readEnd(text: string | undefined): EndChange {
  const change = requireKnown(readJson('sim_end', text), ['set', 'unset']);
  return { set: objectField(change, 'set') ?? {}, unset: (arrayField(change, 'unset') ?? []).map(String) };
}

function readErrorCode(code: string | undefined): string {
  if (code === undefined) return 'server_error';
  if ((ERROR_CODES as readonly string[]).includes(code)) return code;
  throw invalidValue('metadata.sim_code', code, ERROR_CODES);
}

function readTier(tier: string | undefined): ServedTier | undefined {
  if (tier === undefined) return undefined;
  const served = SERVED_TIERS.find((name) => name === tier);
  if (served !== undefined) return served;
  throw invalidValue('metadata.sim_tier', tier, SERVED_TIERS);
}

function readNumbers(metadata: Metadata): SimParameters['numbers'] {
  const numbers: Partial<Record<NumberName, number>> = {};
  for (const name of Object.keys(NUMBER_RANGES) as NumberName[]) {
    const text = metadata[name];
    if (text === undefined) continue;
    if (!/^\d+$/.test(text)) {
      throw badRequest(
        `Invalid 'metadata.${name}': expected a whole number in a string, but got '${text}' instead.`,
        { param: `metadata.${name}`, code: 'invalid_value' },
      );
    }
    const [minimum, maximum] = NUMBER_RANGES[name];
    requireRange(`metadata.${name}`, Number(text), minimum, maximum, 'integer');
    numbers[name] = Number(text);
  }
  return numbers;
}
