import { isDeepStrictEqual } from 'node:util';
import type { ApiKey } from '../api-keys.ts';
import type { Config } from '../environment.ts';
import type { HttpConfig } from '../file.ts';
import { EFFECTS } from './effects.ts';

/** Merged is what a running process makes of a configuration that was read again. */
export interface Merged {
  /** The configuration from now on. What has not changed is the same object as before. */
  config: Config;
  /** What has changed, each as `path: old → new`. Secrets are named and never quoted. */
  changed: string[];
  /** What takes effect only after a restart, in the same form. */
  needsRestart: string[];
}

/** mergeConfig takes over what may change while the process runs, and names the rest. */
export function mergeConfig(before: Config, read: Config): Merged {
  const models = Object.fromEntries(
    Object.entries(before.models).map(([name, model]) => [name, read.models[name] ?? model]),
  );
  const config: Config = {
    ...read,
    ...unchangeable(before),
    models,
    defaultModel: Object.hasOwn(models, read.defaultModel) ? read.defaultModel : before.defaultModel,
    http: httpFrom(before.http, read.http),
    openai: openAiFrom(before.openai, read.openai),
    // With and without keys a producer is built differently.
    keys: before.keys.length > 0 && read.keys.length > 0 ? read.keys : before.keys,
  };
  const merged = sharing(before, config);
  return {
    config: Object.freeze(merged),
    changed: [...secretsChanged(before, merged), ...changesIn(fileOf(before), fileOf(merged))],
    needsRestart: [...secretsChanged(merged, read), ...changesIn(fileOf(merged), fileOf(read))],
  };
}

/** These decide how the process is built, or with which secrets its connections are made. */
function unchangeable({
  redisUrl,
  redisBinary,
  redisDownload,
  prefix,
  ack,
  host,
  port,
  workerPort,
  concurrency,
  shutdownMs,
  logLevel,
  hasBuiltInModels,
  signingSecret,
}: Config) {
  return {
    ...{ redisUrl, redisBinary, redisDownload, prefix, ack, host, port },
    ...{ workerPort, concurrency, shutdownMs, logLevel, hasBuiltInModels, signingSecret },
  };
}

/** The key may be replaced. Whether there is one decides whether the process has an upstream. */
function openAiFrom(before: Config['openai'], read: Config['openai']): Config['openai'] {
  const isReplaced = before.apiKey !== undefined && read.apiKey !== undefined;
  return isReplaced ? { ...before, apiKey: read.apiKey } : before;
}

function httpFrom(before: HttpConfig, read: HttpConfig): HttpConfig {
  const fixed = Object.entries(before).filter(
    ([name]) => EFFECTS[`http.${name as keyof HttpConfig}`] === 'restart',
  );
  const { publicUrl: _, ...others } = read;
  return {
    ...others,
    ...(read.publicUrl !== undefined && { publicUrl: read.publicUrl }),
    ...Object.fromEntries(fixed),
  };
}

/** sharing returns `after` with every part that equals the same part of `before` replaced by that. */
function sharing<Value>(before: unknown, after: Value): Value {
  if (isDeepStrictEqual(before, after)) return before as Value;
  if (!isPlain(before) || !isPlain(after)) return after;
  const parts = Object.entries(after).map(([name, part]) => [name, sharing(before[name], part)]);
  return Object.freeze(Object.fromEntries(parts)) as Value;
}

type FileParts = Record<string, unknown>;

function fileOf({
  defaultModel,
  models,
  tenants,
  prices,
  retention,
  compressAboveKb,
  http,
  allowPrivateWebhooks,
}: Config): FileParts {
  return { defaultModel, models, tenants, prices, retention, compressAboveKb, http, allowPrivateWebhooks };
}

/** changesIn lists what differs, by the path of each setting. An added or removed part is one difference. */
function changesIn(before: unknown, after: unknown, path = ''): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isPlain(before) || !isPlain(after)) return [`${path}: ${written(before)} → ${written(after)}`];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name) =>
    changesIn(before[name], after[name], path === '' ? name : `${path}.${name}`),
  );
}

const MOST_CHARACTERS = 200;

function written(value: unknown): string {
  if (value === undefined) return 'unset';
  const json = JSON.stringify(value);
  return json.length <= MOST_CHARACTERS ? json : `${json.slice(0, MOST_CHARACTERS)}…`;
}

/** secretsChanged names the secrets that differ, and whose keys were added, removed or changed. */
function secretsChanged(before: Config, after: Config): string[] {
  const secrets: [name: string, before: string | undefined, after: string | undefined][] = [
    ['REDIS_URL', before.redisUrl, after.redisUrl],
    ['OPENAI_API_KEY', before.openai.apiKey, after.openai.apiKey],
    ['OPENAI_WEBHOOK_SECRET', before.openai.webhookSecret, after.openai.webhookSecret],
    ['O3Q_SIGNING_SECRET', before.signingSecret, after.signingSecret],
  ];
  return [
    ...keysChanged(before.keys, after.keys),
    ...secrets.filter(([, old, now]) => old !== now).map(([name, old, now]) => `${name}: ${word(old, now)}`),
  ];
}

function keysChanged(before: readonly ApiKey[], after: readonly ApiKey[]): string[] {
  const secretsOf = (keys: readonly ApiKey[], name: string): string =>
    keys.flatMap((key) => (key.name === name ? [key.secret] : [])).join();
  return [...new Set([...before, ...after].map(({ name }) => name))].flatMap((name) => {
    const [old, now] = [secretsOf(before, name) || undefined, secretsOf(after, name) || undefined];
    return old === now ? [] : [`O3Q_KEYS: ${name} ${word(old, now)}`];
  });
}

function word(before: string | undefined, after: string | undefined): string {
  if (before === undefined) return 'added';
  return after === undefined ? 'removed' : 'changed';
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
