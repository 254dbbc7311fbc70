import { randomNumbers } from './api/random-numbers.ts';
import { type GivenReply, type OddReply, readReply } from './faults/odd-replies.ts';
import { type LimitOf, type RateLimitOptions, resolveLimits } from './limits/rate-limit.ts';
import { createModels, DEFAULT_MODELS, type Models, type SimulatedModel } from './models/models.ts';
import { WINDOW_MODELS } from './request/completion-window.ts';
import { type Question, simulatedAnswer } from './response/answer.ts';
import { createWebhookSignature, type WebhookTarget } from './webhooks/signature.ts';

/** BackgroundProfile is what the simulated server does with `background: true`. */
type BackgroundProfile =
  /** The server does as OpenAI does. */
  | 'supported'
  /** The server refuses the field with 400 `unsupported_parameter`. Responses cannot be looked up. */
  | 'rejected'
  /** The server ignores the field and answers in the foreground. Responses cannot be looked up. */
  | 'ignored'
  /**
   * The server ignores the field, and `stream` too: it sends its first byte when the whole answer is ready.
   */
  | 'late';

/**
 * StreamProfile is what the simulated server does with `stream: true`: it may refuse the field with a 400.
 */
type StreamProfile = 'supported' | 'rejected';

/** WindowProfile is what the simulated server does with a completion window. */
type WindowProfile =
  /** The server does as OpenAI does. */
  | 'supported'
  /** The server refuses the field with 400 `unknown_parameter`. */
  | 'rejected'
  /** The server ignores the field. The answer comes as it does without a window, and without a discount. */
  | 'ignored';

/** SimulatorOptions are the options of `createSimulator`, as docs/SIMULATOR.md lists them. */
export type SimulatorOptions = RateLimitOptions & {
  /**
   * Milliseconds from create to answer. Default 2000; `metadata.sim_think_ms` overrides it for one request.
   */
  readonly thinkMs?: number | undefined;
  /**
   * The share of `thinkMs` by which the think time varies, 0 to 1. Default 0: every response takes the same
   * time.
   */
  readonly jitter?: number | undefined;
  /** The seed of the jitter. The same seed gives the same sequence of think times. Default 1. */
  readonly seed?: number | undefined;
  /**
   * The models of the server. A model given by a known id alone gets its real snapshot and shutdown date.
   * Default: o3 and its successors.
   */
  readonly models?: readonly (string | SimulatedModel)[] | undefined;
  /**
   * How the server treats `background: true`. A reply is the answer with which the server refuses the field.
   * Default `supported`.
   */
  readonly background?: BackgroundProfile | GivenReply | undefined;
  /**
   * How the server treats `stream: true`. A reply is the answer with which the server refuses the field.
   * Default `supported`.
   */
  readonly streams?: StreamProfile | GivenReply | undefined;
  /**
   * How the server treats a completion window. A reply is the answer with which the server refuses it.
   * Default `supported`.
   */
  readonly windows?: WindowProfile | GivenReply | undefined;
  /** The models that have completion windows. Default: those for which OpenAI documents them. */
  readonly windowModels?: readonly string[] | undefined;
  /**
   * How many times faster than the real time the clock of completion windows runs: at 3600 a window of eight
   * hours takes eight seconds. Default 1.
   */
  readonly windowScale?: number | undefined;
  /** The key that every call must send as `Authorization: Bearer`. Default: any key, or none. */
  readonly apiKey?: string | undefined;
  /**
   * How long a finished response can be looked up, in milliseconds. After that the server forgets the
   * response. Default 10 minutes.
   */
  readonly retentionMs?: number | undefined;
  /**
   * How long after its creation a response can still be streamed, in milliseconds. Default 5 minutes, as at
   * OpenAI.
   */
  readonly streamWindowMs?: number | undefined;
  /** Milliseconds of silence on a stream before a `keepalive` event. Default 30 seconds. */
  readonly keepaliveMs?: number | undefined;
  /**
   * Where a signed webhook is sent at the end of every background response. Needs `webhookSecret`. Default:
   * none.
   */
  readonly webhookUrl?: string | undefined;
  /** The secret that signs webhooks: `whsec_` and base64, as OpenAI's, or any text. Needs `webhookUrl`. */
  readonly webhookSecret?: string | undefined;
  /**
   * Whether replies leave out the header `o3q-simulated`, as those of a paid upstream do. Default false:
   * o3-queue sees the header and counts no cost.
   */
  readonly paid?: boolean | undefined;
  /**
   * Writes the answer to a question. Default: an answer that says it is simulated and repeats the question.
   */
  readonly answer?: ((question: Question) => string) | undefined;
};

const OPTIONS: Readonly<Record<keyof SimulatorOptions, true>> = {
  thinkMs: true,
  jitter: true,
  seed: true,
  models: true,
  requestsPerMinute: true,
  tokensPerMinute: true,
  limits: true,
  background: true,
  streams: true,
  windows: true,
  windowModels: true,
  windowScale: true,
  apiKey: true,
  retentionMs: true,
  streamWindowMs: true,
  keepaliveMs: true,
  webhookUrl: true,
  webhookSecret: true,
  paid: true,
  answer: true,
};
export const OPTION_NAMES: readonly string[] = Object.keys(OPTIONS);

/** Settings are the checked options, with every default filled in. */
export type Settings = {
  /** Milliseconds that the next response takes, unless its metadata says otherwise. */
  readonly nextThinkMs: () => number;
  readonly models: Models;
  readonly limitOf: LimitOf;
  readonly background: BackgroundProfile | OddReply;
  readonly streams: StreamProfile | OddReply;
  readonly windows: WindowProfile | OddReply;
  readonly windowModels: readonly string[];
  readonly windowScale: number;
  /** A number from 0 to 1, exclusive: where in its window the next response comes. */
  readonly nextPlaceInWindow: () => number;
  readonly apiKey: string | undefined;
  readonly retentionMs: number;
  readonly streamWindowMs: number;
  readonly keepaliveMs: number;
  readonly webhook: WebhookTarget | undefined;
  readonly paid: boolean;
  readonly answer: (question: Question) => string;
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** At this scale a window of eight hours takes 29 milliseconds. */
const MAX_WINDOW_SCALE = 1_000_000;
/** The longest delay that `setTimeout` takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws an Error for an unknown option, and for a value out of its range. */
export function resolveOptions(options: SimulatorOptions): Settings {
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new Error(`Unknown simulator option: ${unknown}. The options are: ${OPTION_NAMES.join(', ')}`);
  }
  const models = createModels(options.models ?? DEFAULT_MODELS);
  const thinkMs = within('thinkMs', options.thinkMs ?? 2 * SECOND, 0, DAY);
  const jitter = within('jitter', options.jitter ?? 0, 0, 1);
  const seed = within('seed', options.seed ?? 1, 0, Number.MAX_SAFE_INTEGER);
  return {
    nextThinkMs: createThinkTimes(thinkMs, jitter, seed),
    models,
    limitOf: resolveLimits(options, models.ids),
    background: profileOf(options.background ?? 'supported'),
    streams: profileOf(options.streams ?? 'supported'),
    windows: profileOf(options.windows ?? 'supported'),
    windowModels: options.windowModels ?? WINDOW_MODELS,
    windowScale: within('windowScale', options.windowScale ?? 1, 1, MAX_WINDOW_SCALE),
    nextPlaceInWindow: randomNumbers(seed),
    apiKey: options.apiKey,
    retentionMs: within('retentionMs', options.retentionMs ?? 10 * MINUTE, 0, MAX_TIMER_MS),
    streamWindowMs: within('streamWindowMs', options.streamWindowMs ?? 5 * MINUTE, 0, MAX_TIMER_MS),
    keepaliveMs: within('keepaliveMs', options.keepaliveMs ?? 30 * SECOND, 1, MAX_TIMER_MS),
    webhook: webhookTargetOf(options),
    paid: options.paid ?? false,
    answer: options.answer ?? simulatedAnswer,
  };
}

function profileOf<Profile extends string>(given: Profile | GivenReply): Profile | OddReply {
  return typeof given === 'string' ? given : readReply(given);
}

/** Without jitter every think time is the same; with it, the seed fixes the sequence. */
function createThinkTimes(thinkMs: number, jitter: number, seed: number): () => number {
  const random = randomNumbers(seed);
  return () => (jitter === 0 ? thinkMs : thinkMs * (1 + jitter * (2 * random() - 1)));
}

function webhookTargetOf({ webhookUrl: url, webhookSecret: secret }: SimulatorOptions): Settings['webhook'] {
  if (url === undefined && secret === undefined) return undefined;
  if (url === undefined || secret === undefined) {
    throw new Error(
      `webhookUrl and webhookSecret must be set together, got only ${url === undefined ? 'webhookSecret' : 'webhookUrl'}`,
    );
  }
  if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) {
    throw new Error(`webhookUrl must be a URL that begins with http:// or https://, got ${url}`);
  }
  return { url, sign: createWebhookSignature(secret) };
}

function within(name: string, value: number, minimum: number, maximum: number): number {
  if (Number.isFinite(value) && value >= minimum && value <= maximum) return value;
  throw new Error(`${name} must be a number from ${minimum} to ${maximum}, got ${value}`);
}
