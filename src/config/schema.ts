import { z } from 'zod';
import { httpSchema } from './http-schema.ts';
import { strictObject } from './strict-object.ts';

const HOUR_MS = 3_600_000;
const MAX_TIMER_MS = 2_147_483_647;
/** MOST_HOURS is a century. Redis refuses much longer times to live, and then no result could be written. */
const MOST_HOURS = 876_600;

/**
 * BUILT_IN_FALLBACKS take over from o3 when no file names models. OpenAI shuts o3 down on 2026-12-11.
 * OpenAI's deprecations page names gpt-6.1-sol for models of the same class. gpt-6.2-sol costs the same and
 * is newer.
 */
const BUILT_IN_FALLBACKS = ['gpt-6.1-sol', 'gpt-6.2-sol'] as const;

/** A model's name is part of Redis keys (as a hash tag) and of URLs. */
const modelName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"');

const positiveInt = z.int().min(1);
const milliseconds = z.int().min(0).max(MAX_TIMER_MS);

const backoffSchema = strictObject({
  baseMs: z
    .int()
    .min(0)
    .default(1000)
    .describe('The longest wait before attempt 2, in milliseconds. It doubles with each further attempt.'),
  maxMs: milliseconds.default(60_000).describe('The longest wait between two attempts, in milliseconds.'),
});

const useSchema = z.enum(['auto', 'always', 'never']).default('auto');

const discount = z.number().min(0).max(1);
const windowsSchema = strictObject({
  '2h': discount.optional().describe('The discount for answers within two hours.'),
  '8h': discount.optional().describe('The discount for answers within eight hours.'),
});

const modelSchema = strictObject({
  upstream: z
    .string()
    .min(1)
    .optional()
    .describe("The upstream's own name of the model. Default: the name under which it is configured."),
  fallbacks: z
    .array(z.string().min(1))
    .max(10)
    .default([])
    .describe(
      "The upstream's names of the models that take over, in this order, once the upstream lacks this one.",
    ),
  requestsPerMinute: positiveInt
    .optional()
    .describe(
      'Create requests in any 60 seconds, of all workers together. Default: the limit that the upstream ' +
        'advertises, or none. The smaller one applies. Aliases of one upstream model share it.',
    ),
  tokensPerMinute: positiveInt
    .optional()
    .describe('Input and output tokens in any 60 seconds, of all workers together; like requestsPerMinute.'),
  maxInFlight: positiveInt
    .optional()
    .describe('Responses that may run at once, of all workers together. Default: no limit.'),
  maxInFlightWindowed: positiveInt
    .default(2000)
    .describe(
      'Responses within a completion window of 2 or 8 hours that may run at once, of all workers together. They ' +
        'take no place of maxInFlight, neither of the model nor of the tenant.',
    ),
  completionWindows: windowsSchema
    .optional()
    .describe(
      'The completion windows that jobs with needed_by may use: the window and its discount, 0.4 for 40 %. {} ' +
        'switches them off. Default: those of OpenAI for models that have them (gpt-6.2-sol, gpt-6.2-astra), else ' +
        'none. A request that names a window itself is sent with it in any case.',
    ),
  maxAttempts: positiveInt
    .max(1000)
    .default(5)
    .describe('The most attempts of a job whose failures are retryable, the first attempt included.'),
  timeoutMs: positiveInt
    .max(MAX_TIMER_MS)
    .default(HOUR_MS)
    .describe(
      'The longest one attempt may take, in milliseconds. Then its response is cancelled at the upstream.',
    ),
  stallMs: positiveInt
    .max(MAX_TIMER_MS)
    .default(600_000)
    .describe(
      'How long the upstream may show no sign of a response, neither an event nor an answer to a lookup, ' +
        'in milliseconds. Then the attempt ends, and the next one looks the response up before it buys another.',
    ),
  onUncertain: z
    .enum(['retry', 'fail'])
    .default('retry')
    .describe(
      'After an uncertain purchase, whose create request was sent but whose outcome stays unknown: retry ' +
        'buys again, perhaps for the second time; fail leaves the decision to a person.',
    ),
  uncertainWaitMs: milliseconds
    .default(60_000)
    .describe(
      "How long after its create an uncertain purchase waits for OpenAI's webhook to name the lost response, in " +
        'milliseconds. Used only with OPENAI_WEBHOOK_SECRET.',
    ),
  background: useSchema.describe(
    "Whether jobs run in the upstream's background mode, in which a response outlives its worker: auto finds out " +
      'whether the server has it.',
  ),
  stream: useSchema.describe(
    'Whether jobs follow the events of a response: auto where the job asks for it and the server streams. ' +
      'Without, the worker polls.',
  ),
  backoff: backoffSchema
    .prefault({})
    .describe('The wait between two attempts: exponential, with full jitter.'),
}).describe('A model that callers can ask for. Its name is an alias: the upstream knows it as upstream.');

const tenantSchema = strictObject({
  weight: z
    .number()
    .min(0.001)
    .max(1000)
    .default(1)
    .describe(
      'The share of starts while other tenants also have waiting jobs: 2 starts twice as many jobs as 1.',
    ),
  maxInFlight: positiveInt
    .optional()
    .describe(
      'Jobs of the tenant that may run at once, of all models and workers together. Default: no limit.',
    ),
  dailyBudgetUsd: z
    .number()
    .min(0)
    .optional()
    .describe('US dollars a day (UTC), for all models. Default: no limit.'),
  maxWaiting: positiveInt
    .optional()
    .describe('Jobs that have not ended, delayed ones included, in all models. Default: no limit.'),
  maxStoredMb: positiveInt
    .optional()
    .describe(
      'MB that the jobs of this tenant may keep in Redis: requests, results and streamed text, and 2 KB for ' +
        "each job. At the limit no new job is accepted; those that run are finished. Default: half of Redis' " +
        'maxmemory, if it has one; for admin no limit.',
    ),
  maxStreams: positiveInt
    .optional()
    .describe(
      'Event streams that one producer process keeps open at the same time. Default: as many as open calls, ' +
        '10,000 of each key, or half of the connections that the process may open if that is fewer.',
    ),
  onBudgetExhausted: z
    .enum(['wait', 'refuse'])
    .default('wait')
    .describe('When the budget is used up: wait keeps its jobs until the next day, refuse rejects new ones.'),
}).describe("What the owner of one API key may use. Its name is the key's name in O3Q_KEYS.");

const priceSchema = strictObject({
  input: z.number().min(0).describe('US dollars for a million input tokens.'),
  cachedInput: z
    .number()
    .min(0)
    .optional()
    .describe('US dollars for a million input tokens from the cache. Default: the price of input.'),
  output: z.number().min(0).describe('US dollars for a million output tokens.'),
}).describe("The prices of a model, by the upstream's name of it.");

const retentionSchema = strictObject({
  completedHours: z
    .number()
    .positive()
    .max(MOST_HOURS)
    .default(168)
    .describe('Hours to keep completed jobs.'),
  failedHours: z
    .number()
    .positive()
    .max(MOST_HOURS)
    .default(720)
    .describe('Hours to keep failed and cancelled jobs.'),
}).describe('How long finished jobs can be read. A job with a short answer takes about 7 KB of memory.');

/** namedModels is the part of the file that the check of `defaultModel` needs. */
const namedModels = z.object({ defaultModel: z.string(), models: z.record(z.string(), z.unknown()) });

/**
 * fileSchema is the only source of the fields of `o3q.config.json`: their types, ranges, defaults and
 * meanings.
 */
export const fileSchema = strictObject({
  $schema: z.string().optional().describe('The path or URL of this schema, for editors.'),
  defaultModel: modelName
    .optional()
    .describe('The model of callers that name none. Default: o3 if it is configured, else the first model.'),
  models: z
    .record(modelName, modelSchema)
    .refine((models) => Object.keys(models).length > 0, 'expected at least one model, got none')
    .prefault({ o3: { fallbacks: [...BUILT_IN_FALLBACKS] } })
    .meta({ minProperties: 1, description: 'The models that callers can ask for, by name.' }),
  tenants: z
    .record(z.string().min(1), tenantSchema)
    .default({})
    .describe('Weights, limits and budgets of tenants, by name. Other tenants have the defaults.'),
  prices: z
    .record(z.string().min(1), priceSchema)
    .default({})
    .describe('Prices that are not publicly known, or not yours. Default: the known prices of OpenAI.'),
  retention: retentionSchema.prefault({}),
  compressAboveKb: z
    .int()
    .min(0)
    .default(8)
    .describe(
      'KB of JSON above which a request or an answer is compressed in Redis, if that makes it a third shorter; 0: ' +
        'never. What is stored can be read with any setting.',
    ),
  http: httpSchema.prefault({}),
  allowPrivateWebhooks: z
    .boolean()
    .default(false)
    .describe(
      'Whether webhooks may go to this machine and to private networks, for development. If true, each ' +
        'caller can make a worker send requests to its neighbours. Link-local addresses stay refused.',
    ),
})
  .describe('The configuration of o3-queue: models, tenants, prices and retention.')
  .refine(({ defaultModel, models }) => defaultModel === undefined || Object.hasOwn(models, defaultModel), {
    path: ['defaultModel'],
    error: ({ input }) => {
      const { defaultModel, models } = namedModels.parse(input);
      return `expected one of ${Object.keys(models).join(', ')}, got "${defaultModel}"`;
    },
    // zod skips a rule for the whole file when a field has a flaw. This rule runs anyway, because it needs
    // only the names.
    when: ({ value }) => namedModels.safeParse(value).success,
  })
  .superRefine(({ models }, context) => {
    const refuse = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    const upstreams = new Set(Object.entries(models).map(([name, { upstream = name }]) => upstream));
    for (const [name, { upstream = name, fallbacks }] of Object.entries(models)) {
      for (const [i, fallback] of fallbacks.entries()) {
        const path = ['models', name, 'fallbacks', i];
        if (fallback === upstream || fallbacks.indexOf(fallback) < i) {
          refuse(path, `expected a different model each time, got "${fallback}" again`);
        } else if (Object.hasOwn(models, fallback) && !upstreams.has(fallback)) {
          const known = models[fallback]?.upstream;
          refuse(
            path,
            `expected the upstream's name of a model, perhaps "${known}", got the alias "${fallback}"`,
          );
        }
      }
    }
  });

export type FileSettings = z.output<typeof fileSchema>;
export type ModelSettings = z.output<typeof modelSchema>;
export type TenantSettings = z.output<typeof tenantSchema>;
export type PriceSettings = z.output<typeof priceSchema>;

/**
 * fileJsonSchema returns the JSON Schema of `o3q.config.json`, for editors. `npm run schema` writes it to
 * `o3q.config.schema.json`. It is draft 7, which all editors know.
 */
export function fileJsonSchema(): object {
  return z.toJSONSchema(fileSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema }) => {
      // zod adds the bounds of a safe integer, which say nothing about the setting.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
}
