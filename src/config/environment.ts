import { z } from 'zod';
import { type Flaw, flawsOf } from '../errors/problem.ts';
import { ConfigError } from '../errors/setup-error.ts';
import { ACKS, type Ack } from '../redis/ack/level.ts';
import { parseRedisUrl } from '../redis/url.ts';
import { type ApiKey, parseApiKeys } from './api-keys.ts';
import { DEFAULT_CLIENT_URL, HTTP_URL_EXPECTED, isHttpUrl } from './client.ts';
import { configPathOf, type FileConfig, readConfigFile } from './file.ts';
import { isSecretFile, secretFilesOf, withSecretsOfFiles } from './secret-files.ts';
import { type ProxyAddresses, withProxies } from './upstream-address.ts';

const MAX_TIMER_MS = 2_147_483_647;

/** Config is everything that a process reads from its environment and from the configuration file. */
export interface Config extends FileConfig {
  /** The URL of Redis; undefined: the process starts an embedded Redis. */
  readonly redisUrl: string | undefined;
  readonly redisBinary: string | undefined;
  readonly redisDownload: boolean;
  /** The first part of every key, so that one Redis can hold several installations. */
  readonly prefix: string;
  /** What Redis must have done with a new job or purchase before it counts as stored. */
  readonly ack: Ack;
  readonly host: string;
  readonly port: number;
  /** The callers' keys. Without keys every caller has access, and the producer must listen on loopback. */
  readonly keys: readonly ApiKey[];
  /** The secret that signs the webhooks to callers; undefined: no webhooks are sent. */
  readonly signingSecret: string | undefined;
  /** The port of a worker's `/livez`, `/readyz` and `/metrics`; undefined: the worker does not listen. */
  readonly workerPort: number | undefined;
  /** How many jobs a worker process holds at once, divided evenly among its models. */
  readonly concurrency: number;
  /** The time from the first signal until the process ends by force, in milliseconds. */
  readonly shutdownMs: number;
  readonly logLevel: string;
  readonly openai: {
    readonly apiKey: string | undefined;
    readonly baseUrl: string | undefined;
    readonly proxy: ProxyAddresses;
    /** The secret that verifies OpenAI's webhooks; undefined: OpenAI sends none. */
    readonly webhookSecret: string | undefined;
  };
}

interface Variable {
  /** The text of the README's table; a test compares the two. */
  meaning: string;
  default: string;
}

/** VARIABLES are all environment variables that o3-queue reads; client.ts also reads two of them. */
export const VARIABLES = {
  REDIS_URL: {
    default: 'embedded',
    meaning:
      '`redis://`, `redis+sentinel://h:p,h:p/NAME`, `redis+cluster://h:p,h:p`; `rediss` for TLS; unset: an ' +
      'embedded one in `.data/redis`',
  },
  HOST: { default: '127.0.0.1', meaning: 'the address on which the producer listens' },
  PORT: { default: '3000', meaning: 'the port on which the producer listens' },
  O3Q_KEYS: {
    default: '',
    meaning:
      "callers' keys, `name:secret[,name:secret]`; `admin` sees all; unset: no key is needed, loopback only",
  },
  OPENAI_API_KEY: {
    default: '',
    meaning:
      'the key of the upstream, for workers; on producers for `/v1/responses/input_tokens`, `/compact` and quotes only',
  },
  OPENAI_BASE_URL: { default: '', meaning: 'any server that speaks the Responses API; unset: OpenAI' },
  HTTPS_PROXY: {
    default: '',
    meaning: 'the URL of a proxy on the way to an upstream of `https://`; in small letters it counts first',
  },
  HTTP_PROXY: { default: '', meaning: 'the same for an upstream of `http://`' },
  NO_PROXY: {
    default: '',
    meaning: 'hosts that are reached without a proxy, separated by commas; `*`: all; this machine always',
  },
  OPENAI_WEBHOOK_SECRET: {
    default: '',
    meaning: 'what OpenAI signs its webhooks with, for producers and workers; unset: no webhooks',
  },
  O3Q_SIGNING_SECRET: {
    default: '',
    meaning:
      'signs webhooks to `webhook_url`, on producers and workers: `whsec_` and 24 to 64 bytes in ' +
      'base64; unset: none are sent',
  },
  O3Q_CONFIG: {
    default: 'o3q.config.json',
    meaning:
      'the file of models, tenants, prices and retention; must exist when set here; unset: the default, ' +
      'if it exists',
  },
  O3Q_CONCURRENCY: {
    default: '2000',
    meaning: 'jobs that a worker process holds at once, divided evenly among the models',
  },
  O3Q_WORKER_PORT: {
    default: '',
    meaning: 'where a worker answers `/livez`, `/readyz` and `/metrics`; unset: nowhere',
  },
  O3Q_SHUTDOWN_MS: { default: '10000', meaning: 'from the first signal until the process ends by force' },
  O3Q_PREFIX: { default: 'o3q', meaning: 'the first part of every key in Redis' },
  O3Q_ACK: {
    default: 'memory',
    meaning: 'what Redis has done with a job before its caller is answered: `memory`, `disk`, `replica`',
  },
  O3Q_REDIS_BIN: { default: '', meaning: 'the server binary of the embedded Redis' },
  O3Q_REDIS_DOWNLOAD: { default: '1', meaning: "`0`: never fetch the distribution's Redis package" },
  O3Q_URL: {
    default: DEFAULT_CLIENT_URL,
    meaning: 'the instance that `o3q` and the seven functions talk to',
  },
  O3Q_API_KEY: { default: '', meaning: 'sent as `Authorization: Bearer` by `o3q` and the seven functions' },
  LOG_LEVEL: {
    default: 'info',
    meaning: '`trace`, `debug` (both log questions), `info`, `warn`, `error`, `fatal`, `silent`',
  },
} as const satisfies Record<string, Variable>;

/** Old names of variables, and their new ones. O3Q_WEBHOOK_SECRET was confused with OPENAI_WEBHOOK_SECRET. */
const RENAMED_VARIABLES = new Map([['O3Q_WEBHOOK_SECRET', 'O3Q_SIGNING_SECRET']]);

const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d+$/, `expected a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `expected a whole number from ${least} to ${most}`);

const httpUrl = z.string().refine(isHttpUrl, HTTP_URL_EXPECTED);

/**
 * The format and length of a secret of Standard Webhooks. Even the shortest such secret cannot be guessed.
 */
const signingSecret = z.string().refine((text) => {
  const [, base64 = ''] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const bytes = Buffer.from(base64, 'base64').length;
  return base64.length % 4 === 0 && bytes >= 24 && bytes <= 64;
}, 'expected whsec_ and 24 to 64 bytes in base64, such as: echo whsec_$(openssl rand -base64 32)');

function apiKeysFrom(text: string, context: z.RefinementCtx): ApiKey[] {
  const parsed = parseApiKeys(text);
  if ('keys' in parsed) return parsed.keys;
  for (const message of parsed.flaws) context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

/**
 * addRedisUrlFlaw adds the message of parseRedisUrl, which says what is wrong with the URL and hides its
 * password.
 */
function addRedisUrlFlaw(url: string, context: z.RefinementCtx): void {
  try {
    parseRedisUrl(url);
  } catch (error: unknown) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
}

const environmentSchema = z.object({
  REDIS_URL: z.string().superRefine(addRedisUrlFlaw).optional(),
  HOST: z.string().default(VARIABLES.HOST.default),
  PORT: wholeNumber(0, 65_535).default(3000),
  O3Q_KEYS: z.string().transform(apiKeysFrom).default([]),
  // The key is sent in a header, which cannot contain any other character.
  OPENAI_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'expected a key of printable ASCII characters without spaces')
    .optional(),
  OPENAI_BASE_URL: httpUrl.optional(),
  HTTPS_PROXY: httpUrl.optional(),
  HTTP_PROXY: httpUrl.optional(),
  NO_PROXY: z.string().optional(),
  OPENAI_WEBHOOK_SECRET: z.string().optional(),
  O3Q_SIGNING_SECRET: signingSecret.optional(),
  O3Q_CONFIG: z.string().optional(),
  O3Q_CONCURRENCY: wholeNumber(1, 100_000).default(2000),
  O3Q_WORKER_PORT: wholeNumber(1, 65_535).optional(),
  O3Q_SHUTDOWN_MS: wholeNumber(0, MAX_TIMER_MS).default(10_000),
  O3Q_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, "_" or "-"')
    .default(VARIABLES.O3Q_PREFIX.default),
  O3Q_ACK: z.enum(ACKS).default(VARIABLES.O3Q_ACK.default),
  O3Q_REDIS_BIN: z.string().optional(),
  O3Q_REDIS_DOWNLOAD: z.enum(['0', '1']).default('1'),
  O3Q_URL: httpUrl.default(VARIABLES.O3Q_URL.default),
  O3Q_API_KEY: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/**
 * readConfig reads the environment variables and the configuration file.
 *
 * @throws {ConfigError} with all problems of the variables and of the file.
 */
export function readConfig(variables: NodeJS.ProcessEnv = process.env): Config {
  const { environment, flaws } = withSecretsOfFiles(withProxies(variables));
  flaws.push(...unknownVariables(environment));
  const parsed = environmentSchema.safeParse(withoutEmpty(environment), { reportInput: true });
  if (!parsed.success) flaws.push(...variableFlaws(parsed.error, environment));
  const file = readConfigFile(environment['O3Q_CONFIG'] || undefined);
  if ('flaws' in file) flaws.push(...file.flaws);
  if (!parsed.success || 'flaws' in file || flaws.length > 0) throw new ConfigError(flaws);

  const values = parsed.data;
  return deepFreeze({
    redisUrl: values.REDIS_URL,
    redisBinary: values.O3Q_REDIS_BIN,
    redisDownload: values.O3Q_REDIS_DOWNLOAD === '1',
    prefix: values.O3Q_PREFIX,
    ack: values.O3Q_ACK,
    host: values.HOST,
    port: values.PORT,
    keys: values.O3Q_KEYS,
    signingSecret: values.O3Q_SIGNING_SECRET,
    workerPort: values.O3Q_WORKER_PORT,
    concurrency: values.O3Q_CONCURRENCY,
    shutdownMs: values.O3Q_SHUTDOWN_MS,
    logLevel: values.LOG_LEVEL,
    openai: {
      apiKey: values.OPENAI_API_KEY,
      baseUrl: values.OPENAI_BASE_URL,
      proxy: { http: values.HTTP_PROXY, https: values.HTTPS_PROXY, except: values.NO_PROXY },
      webhookSecret: values.OPENAI_WEBHOOK_SECRET,
    },
    ...file,
  });
}

/** configFilesOf lists the files that `readConfig` reads: the configuration, and a file for each `…_FILE`. */
export function configFilesOf(variables: NodeJS.ProcessEnv = process.env): string[] {
  return [configPathOf(variables['O3Q_CONFIG'] || undefined), ...secretFilesOf(variables)];
}

/**
 * secretsOf returns the strings that must never appear in a log. A password of a URL is listed both as it is
 * in the URL (encoded) and decoded.
 */
export function secretsOf({ redisUrl = '', openai, keys, signingSecret = '' }: Config): string[] {
  const { baseUrl = '', proxy } = openai;
  const written = [redisUrl, baseUrl, proxy.http ?? '', proxy.https ?? ''].map(
    (url) => /:\/\/[^@/:]*:([^@/]*)@/.exec(url)?.[1] ?? '',
  );
  const callers = keys.map(({ secret }) => secret);
  const ours = [openai.apiKey ?? '', openai.webhookSecret ?? '', signingSecret];
  const secrets = [...ours, ...callers, ...written, ...written.map(decoded)];
  return [...new Set(secrets)].filter((secret) => secret !== '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * withoutEmpty drops empty variables: compose files and shells often set a variable to nothing instead of
 * leaving it out.
 */
function withoutEmpty(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
}

function unknownVariables(environment: NodeJS.ProcessEnv): Flaw[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('O3Q_') && !Object.hasOwn(VARIABLES, name) && !isSecretFile(name))
    .map((name) => ({ path: name, message: unknownVariable(name) }));
}

function unknownVariable(name: string): string {
  const newName = RENAMED_VARIABLES.get(name);
  if (newName !== undefined) return `is now called ${newName}; rename it and keep its value`;
  return `is not a variable of o3-queue; the variables are ${Object.keys(VARIABLES).join(', ')}`;
}

function variableFlaws(error: z.ZodError, environment: NodeJS.ProcessEnv): Flaw[] {
  return flawsOf(error).map(({ path, message }) => {
    // A URL may contain a password, and a key is a secret: neither may be quoted.
    const value = environment[path] ?? '';
    const came = /KEY|SECRET|REDIS_URL/.test(path) || value.includes('@') ? '' : `, got "${value}"`;
    return { path, message: `${message}${came}` };
  });
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
