import { existsSync, readFileSync } from 'node:fs';
import type { z } from 'zod';
import { shown } from '../errors/input.ts';
import type { Flaw } from '../errors/problem.ts';
import {
  type FileSettings,
  fileSchema,
  type ModelSettings,
  type PriceSettings,
  type TenantSettings,
} from './schema.ts';
import { textFrom } from './text-file.ts';

const DEFAULT_PATH = 'o3q.config.json';

/** Explicit makes optional fields present, with undefined as a value, and all fields read-only. */
type Explicit<Settings> = {
  readonly [Name in keyof Required<Settings>]: Settings[Name] extends readonly (infer Item)[]
    ? readonly Item[]
    : Settings[Name];
};

/** ModelConfig is a configured model. schema.ts says what each field means. */
export interface ModelConfig extends Explicit<Omit<ModelSettings, 'upstream'>> {
  /** The upstream's own name of the model. */
  readonly upstream: string;
}

/** TenantConfig is what the owner of one API key may use. */
export type TenantConfig = Explicit<TenantSettings>;

/** PriceConfig is US dollars for a million tokens of an upstream model. */
export type PriceConfig = Explicit<PriceSettings>;

/** Retention is how many hours a finished job can be read. */
export type Retention = Explicit<FileSettings['retention']>;

/**
 * Models is the part of the file that all processes on one Redis must share: the models, and how long answers
 * are kept.
 */
export interface Models {
  /** The model of callers that name none. */
  readonly defaultModel: string;
  readonly models: Readonly<Record<string, ModelConfig>>;
  readonly retention: Retention;
  /** Whether webhooks may go to this machine and to private networks. */
  readonly allowPrivateWebhooks: boolean;
  /** By the name of the tenant. Other tenants have the defaults. */
  readonly tenants: Readonly<Record<string, TenantConfig>>;
  /** By the upstream's name of the model. */
  readonly prices: Readonly<Record<string, PriceConfig>>;
}

/** FileConfig is everything that the file can say. */
export interface FileConfig extends Models {
  readonly http: Explicit<FileSettings['http']>;
}

/** upstreamModelsOf lists the upstream's names of a model, in the order in which they are asked. */
export function upstreamModelsOf({
  upstream,
  fallbacks,
}: Pick<ModelConfig, 'upstream' | 'fallbacks'>): string[] {
  return [...new Set([upstream, ...fallbacks])];
}

/** modelsOf picks the part of a configuration that every process needs. */
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

/** defaultModels is the configuration without a file: one model, o3. */
export function defaultModels(): Models {
  return modelsFrom(fileSchema.parse({}));
}

/**
 * readConfigFile reads the file, or lists everything that is wrong with it.
 *
 * @param named the path of O3Q_CONFIG; undefined: the default path, where the file may be missing.
 */
export function readConfigFile(named: string | undefined): FileConfig | { flaws: Flaw[] } {
  const path = named ?? DEFAULT_PATH;
  if (named === undefined && !existsSync(path)) return configFrom(fileSchema.parse({}));
  let content: unknown;
  try {
    content = JSON.parse(textFrom(readFileSync(path)));
  } catch (error: unknown) {
    const cause = error instanceof Error ? error.message : String(error);
    const isJson = error instanceof SyntaxError;
    return { flaws: [{ path, message: `cannot be read${isJson ? ' as JSON' : ''}: ${cause}` }] };
  }
  const parsed = fileSchema.safeParse(content, { reportInput: true });
  if (parsed.success) return configFrom(parsed.data);
  return { flaws: parsed.error.issues.map((issue) => flawFrom(path, issue)) };
}

function flawFrom(file: string, { path, message, input }: z.core.$ZodIssue): Flaw {
  const place = path.map(String).join('.') || '(top)';
  // Our own messages quote the value that came. zod's messages name it only for a wrong type, after
  // "received".
  const expected = message
    .replace(/^(?:Invalid input|Too big|Too small): /, '')
    .replace(/, received .*$/, '');
  return {
    path: `${file}: ${place}`,
    message: expected.includes(', got ') ? expected : `${expected}, got ${shown(input)}`,
  };
}

function configFrom(file: FileSettings): FileConfig {
  return { ...modelsFrom(file), http: file.http };
}

function modelsFrom(file: FileSettings): Models {
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
  { upstream = name, requestsPerMinute, tokensPerMinute, maxInFlight, ...model }: ModelSettings,
): ModelConfig {
  return { ...model, upstream, requestsPerMinute, tokensPerMinute, maxInFlight };
}
