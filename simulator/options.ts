import { type LimitOf, type RateLimitOptions, resolveLimits } from './limits/rate-limit.ts';
import { createModels, DEFAULT_MODELS, type Models, type SimulatedModel } from './models/models.ts';
import type { Question } from './request/question.ts';
import { simulatedAnswer } from './response/answer.ts';
import { createWebhookSignature, type WebhookSignature } from './webhooks/signature.ts';

/** What the simulated server makes of `background: true`. */
type BackgroundProfile =
  /** As OpenAI does. */
  | 'supported'
  /** As a server that knows the field and refuses it: 400 `unsupported_parameter`; responses cannot be looked up. */
  | 'rejected'
  /** As a server that never heard of it: answers in the foreground; responses cannot be looked up. */
  | 'ignored';

export type SimulatorOptions = RateLimitOptions & {
  /** Milliseconds from create to answer. Default 2000; `metadata.sim_think_ms` overrides it for one request. */
  readonly thinkMs?: number | undefined;
  /** Share of `thinkMs` by which it varies, 0 to 1. Default 0: every response takes the same time. */
  readonly jitter?: number | undefined;
  /** Chooses the sequence of the jitter; the same seed gives the same times. Default 1. */
  readonly seed?: number | undefined;
  /** What can be asked for; a known name alone brings its snapshot and shutdown date. Default: o3 and its kin. */
  readonly models?: readonly (string | SimulatedModel)[] | undefined;
  /** Default `supported`. */
  readonly background?: BackgroundProfile | undefined;
  /** When set, every call needs it as `Authorization: Bearer`. Default: any key, or none. */
  readonly apiKey?: string | undefined;
  /** Milliseconds for which a finished response can be looked up; then 404 and its memory is freed. Default 10 minutes. */
  readonly retentionMs?: number | undefined;
  /** Milliseconds after creation in which a stream can be attached. Default 5 minutes, as OpenAI's. */
  readonly streamWindowMs?: number | undefined;
  /** Milliseconds of silence on a stream before a `keepalive` event. Default 30 seconds. */
  readonly keepaliveMs?: number | undefined;
  /** Where the end of every background response is told by a signed webhook. Needs `webhookSecret`. Default: nowhere. */
  readonly webhookUrl?: string | undefined;
  /** What webhooks are signed with: base64 after `whsec_`, as OpenAI gives it, or any text. Needs `webhookUrl`. */
  readonly webhookSecret?: string | undefined;
  /** Writes the answer to a question. Default: one that says it is simulated and repeats the question. */
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
  apiKey: true,
  retentionMs: true,
  streamWindowMs: true,
  keepaliveMs: true,
  webhookUrl: true,
  webhookSecret: true,
  answer: true,
};
export const OPTION_NAMES: readonly string[] = Object.keys(OPTIONS);

export type Settings = {
  readonly thinkMs: number;
  readonly jitter: number;
  readonly seed: number;
  readonly models: Models;
  readonly limitOf: LimitOf;
  readonly background: BackgroundProfile;
  readonly apiKey: string | undefined;
  readonly retentionMs: number;
  readonly streamWindowMs: number;
  readonly keepaliveMs: number;
  readonly webhook: { readonly url: string; readonly sign: WebhookSignature } | undefined;
  readonly answer: (question: Question) => string;
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** Where setTimeout overflows. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export function resolveOptions(options: SimulatorOptions): Settings {
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new Error(`Unknown option of the simulator: ${unknown}. There are: ${OPTION_NAMES.join(', ')}`);
  }
  const models = createModels(options.models ?? DEFAULT_MODELS);
  return {
    thinkMs: within('thinkMs', options.thinkMs ?? 2 * SECOND, 0, DAY),
    jitter: within('jitter', options.jitter ?? 0, 0, 1),
    seed: within('seed', options.seed ?? 1, 0, Number.MAX_SAFE_INTEGER),
    models,
    limitOf: resolveLimits(options, models.ids),
    background: options.background ?? 'supported',
    apiKey: options.apiKey,
    retentionMs: within('retentionMs', options.retentionMs ?? 10 * MINUTE, 0, MAX_TIMER_MS),
    streamWindowMs: within('streamWindowMs', options.streamWindowMs ?? 5 * MINUTE, 0, MAX_TIMER_MS),
    keepaliveMs: within('keepaliveMs', options.keepaliveMs ?? 30 * SECOND, 1, MAX_TIMER_MS),
    webhook: webhookOf(options),
    answer: options.answer ?? simulatedAnswer,
  };
}

function webhookOf({ webhookUrl: url, webhookSecret: secret }: SimulatorOptions): Settings['webhook'] {
  if (url === undefined && secret === undefined) return undefined;
  if (url === undefined || secret === undefined) {
    throw new Error(
      `webhookUrl and webhookSecret were expected together, got only ${url === undefined ? 'webhookSecret' : 'webhookUrl'}`,
    );
  }
  if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) {
    throw new Error(`webhookUrl was expected to be a URL that begins with http:// or https://, got ${url}`);
  }
  return { url, sign: createWebhookSignature(secret) };
}

function within(name: string, value: number, minimum: number, maximum: number): number {
  if (Number.isFinite(value) && value >= minimum && value <= maximum) return value;
  throw new Error(`${name} must be a number from ${minimum} to ${maximum}, got ${value}`);
}
