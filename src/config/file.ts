import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Flaw, flawsOf } from '../errors/problem.ts';
import type { Backoff } from './backoff.ts';

const HOUR_MS = 3_600_000;
const MAX_TIMER_MS = 2_147_483_647;
/** A century. Redis refuses times to live that are much longer, and with them the writing of every result. */
const MOST_HOURS = 876_600;
const DEFAULT_PATH = 'o3q.config.json';

/** A model is an alias: callers ask for it by its key, the upstream knows it as `upstream`. */
export interface ModelConfig {
  /** The upstream's own name of it. Default: the alias itself. */
  readonly upstream: string;
  /** How often a retryable failure may be bought again, the first purchase included. Default 5. */
  readonly maxAttempts: number;
  /** The longest one attempt may take, in milliseconds; then the upstream is told to cancel. Default one hour. */
  readonly timeoutMs: number;
  /**
   * For how long an upstream may give no sign of a response, neither an event nor an answer to a lookup, in milliseconds. Then the attempt ends, and the next
   * one looks the response up again before it buys anything. Default ten minutes.
   */
  readonly stallMs: number;
  /**
   * What happens when a create request was sent and nobody knows whether it was bought: its worker died in that instant, or its answer was lost. `retry` (the default) buys
   * again, perhaps for the second time; `fail` leaves it to a person.
   */
  readonly onUncertain: 'retry' | 'fail';
  /** How long such a job waits for OpenAI's webhook to name the lost response, in milliseconds; only with OPENAI_WEBHOOK_SECRET. Default one minute. */
  readonly uncertainWaitMs: number;
  readonly backoff: Backoff;
  /** Upstream's names of the models that take over, in this order, when the upstream no longer has this one. Default: none. */
  readonly fallbacks: readonly string[];
  /**
   * Create requests in any 60 seconds, of all workers together. Default: what the upstream's `x-ratelimit-limit-requests` says, or no limit. The smaller of the two
   * holds. Aliases of one upstream model share it.
   */
  readonly requestsPerMinute: number | undefined;
  /** Tokens in any 60 seconds, input and output, of all workers together; as with `requestsPerMinute`. */
  readonly tokensPerMinute: number | undefined;
  /** Responses that may run at once, of all workers together. Default: no limit. */
  readonly maxInFlight: number | undefined;
}

/** The upstream's names of a model, in the order in which they are asked. */
export function upstreamModelsOf({
  upstream,
  fallbacks,
}: Pick<ModelConfig, 'upstream' | 'fallbacks'>): string[] {
  return [...new Set([upstream, ...fallbacks])];
}

/** What one API key's owner may use. The name is that of O3Q_KEYS. */
export interface TenantConfig {
  /** Its share of the starts while others wait too: 2 is twice that of 1. Default 1. */
  readonly weight: number;
  /** Jobs of it that may run at once, of all models and workers together. Default: no limit. */
  readonly maxInFlight: number | undefined;
  /** US dollars a day (UTC), for all models. Default: no limit. */
  readonly dailyBudgetUsd: number | undefined;
  /** What becomes of its jobs when the budget is used up: they `wait` for the next day (the default), or new ones are refused. */
  readonly onBudgetExhausted: 'wait' | 'refuse';
}

/** US dollars for a million tokens, by the upstream's name of the model. Default: what is publicly known of OpenAI's prices. */
export interface PriceConfig {
  readonly input: number;
  /** Default: that of `input`. */
  readonly cachedInput: number | undefined;
  readonly output: number;
}

/** How long a finished job can still be read, in hours. Too long costs memory: about 7 KB a job with a short answer. */
export interface Retention {
  /** Default 168, a week. */
  readonly completedHours: number;
  /** For failed and cancelled jobs. Default 720, a month. */
  readonly failedHours: number;
}

/** What can be asked for, and how long the answers are kept: the same for every process on one Redis. */
export interface Models {
  /** Used when a caller names none. Default: `o3` when it is configured, else the first model. */
  readonly defaultModel: string;
  readonly models: Readonly<Record<string, ModelConfig>>;
  readonly retention: Retention;
  /**
   * Whether webhooks may go to this machine and to private networks, for development. Default false: otherwise each caller could make a worker send requests to
   * whatever stands beside it. Link-local addresses, where clouds keep credentials, stay closed.
   */
  readonly allowPrivateWebhooks: boolean;
  /** By name. Whoever is not named has the defaults. */
  readonly tenants: Readonly<Record<string, TenantConfig>>;
  /** Prices that are not publicly known, or not yours. */
  readonly prices: Readonly<Record<string, PriceConfig>>;
}

/** How a producer treats its callers. */
export interface HttpConfig {
  /** Requests a minute that each key may make of one producer process. Default 60,000. */
  readonly requestsPerMinute: number;
}

/** Everything that the file can say. */
export interface FileConfig extends Models {
  readonly http: HttpConfig;
}

/** Whose complaint about a field that it does not know says which it does. */
function strictObject<Shape extends z.ZodRawShape>(shape: Shape) {
  const names = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const unknown = [issue['keys']].flat().map((key) => JSON.stringify(key));
      return `expected only ${names}, got ${unknown.join(', ')}`;
    },
  });
}

/** A model's name is part of Redis keys (as a hash tag) and of URLs. */
const modelName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"');

const modelSchema = strictObject({
  upstream: z.string().min(1).optional(),
  maxAttempts: z.int().min(1).max(1000).default(5),
  timeoutMs: z.int().min(1).max(MAX_TIMER_MS).default(HOUR_MS),
  stallMs: z.int().min(1).max(MAX_TIMER_MS).default(600_000),
  onUncertain: z.enum(['retry', 'fail']).default('retry'),
  uncertainWaitMs: z.int().min(0).max(MAX_TIMER_MS).default(60_000),
  backoff: strictObject({
    baseMs: z.int().min(0).default(1000),
    maxMs: z.int().min(0).max(MAX_TIMER_MS).default(60_000),
  }).prefault({}),
  fallbacks: z.array(z.string().min(1)).max(10).default([]),
  requestsPerMinute: z.int().min(1).optional(),
  tokensPerMinute: z.int().min(1).optional(),
  maxInFlight: z.int().min(1).optional(),
});

const tenantSchema = strictObject({
  weight: z.number().min(0.001).max(1000).default(1),
  maxInFlight: z.int().min(1).optional(),
  dailyBudgetUsd: z.number().min(0).optional(),
  onBudgetExhausted: z.enum(['wait', 'refuse']).default('wait'),
});

const priceSchema = strictObject({
  input: z.number().min(0),
  cachedInput: z.number().min(0).optional(),
  output: z.number().min(0),
});

const fileSchema = strictObject({
  defaultModel: modelName.optional(),
  models: z
    .record(modelName, modelSchema)
    .refine((models) => Object.keys(models).length > 0, 'expected at least one model')
    .prefault({ o3: {} }),
  retention: z
    .strictObject({
      completedHours: z.number().positive().max(MOST_HOURS).default(168),
      failedHours: z.number().positive().max(MOST_HOURS).default(720),
    })
    .prefault({}),
  allowPrivateWebhooks: z.boolean().default(false),
  tenants: z.record(z.string().min(1), tenantSchema).default({}),
  prices: z.record(z.string().min(1), priceSchema).default({}),
  http: strictObject({ requestsPerMinute: z.int().min(1).default(60_000) }).prefault({}),
}).superRefine(({ defaultModel, models }, context) => {
  const refuse = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message });
  if (defaultModel !== undefined && !Object.hasOwn(models, defaultModel)) {
    refuse(['defaultModel'], `expected one of ${Object.keys(models).join(', ')}, got "${defaultModel}"`);
  }
  const upstreams = new Set(Object.entries(models).map(([name, { upstream = name }]) => upstream));
  for (const [name, { upstream = name, fallbacks }] of Object.entries(models)) {
    for (const [i, fallback] of fallbacks.entries()) {
      const path = ['models', name, 'fallbacks', i];
      if (fallback === upstream || fallbacks.indexOf(fallback) < i) {
        refuse(path, `expected another model each, got "${fallback}" again`);
      } else if (Object.hasOwn(models, fallback) && !upstreams.has(fallback)) {
        const known = models[fallback]?.upstream;
        refuse(
          path,
          `expected the upstream's name of a model, "${known}" perhaps, got the alias "${fallback}"`,
        );
      }
    }
  }
});

/** The part of a configuration that every process needs. */
export function modelsOf({
  defaultModel,
  models,
  retention,
  allowPrivateWebhooks,
  tenants,
  prices,
}: Models): Models {
  return { defaultModel, models, retention, allowPrivateWebhooks, tenants, prices };
}

/** What holds without a file: one model, o3. */
export function defaultModels(): Models {
  return modelsFrom(fileSchema.parse({}));
}

/** Reads the file whole, or says every flaw. Only the default path may be missing. */
export function readConfigFile(named: string | undefined): FileConfig | { flaws: Flaw[] } {
  const path = named ?? DEFAULT_PATH;
  if (named === undefined && !existsSync(path)) return configFrom(fileSchema.parse({}));
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error: unknown) {
    const cause = error instanceof Error ? error.message : String(error);
    const isJson = error instanceof SyntaxError;
    return { flaws: [{ path, message: `cannot be read${isJson ? ' as JSON' : ''}: ${cause}` }] };
  }
  const parsed = fileSchema.safeParse(content);
  if (parsed.success) return configFrom(parsed.data);
  return {
    flaws: flawsOf(parsed.error).map((flaw) => ({
      path: `${path}: ${flaw.path || '(top)'}`,
      message: flaw.message,
    })),
  };
}

function configFrom(file: z.infer<typeof fileSchema>): FileConfig {
  return { ...modelsFrom(file), http: file.http };
}

function modelsFrom(file: z.infer<typeof fileSchema>): Models {
  const models = Object.entries(file.models).map(([name, model]) => [name, modelFrom(name, model)] as const);
  const first = Object.hasOwn(file.models, 'o3') ? 'o3' : (models[0]?.[0] ?? 'o3');
  return {
    defaultModel: file.defaultModel ?? first,
    models: Object.fromEntries(models),
    retention: file.retention,
    allowPrivateWebhooks: file.allowPrivateWebhooks,
    tenants: Object.fromEntries(
      Object.entries(file.tenants).map(([name, { maxInFlight, dailyBudgetUsd, ...tenant }]) => [
        name,
        { ...tenant, maxInFlight, dailyBudgetUsd },
      ]),
    ),
    prices: Object.fromEntries(
      Object.entries(file.prices).map(([name, { cachedInput, ...price }]) => [
        name,
        { ...price, cachedInput },
      ]),
    ),
  };
}

function modelFrom(
  name: string,
  { upstream = name, requestsPerMinute, tokensPerMinute, maxInFlight, ...model }: z.infer<typeof modelSchema>,
): ModelConfig {
  return { ...model, upstream, requestsPerMinute, tokensPerMinute, maxInFlight };
}
