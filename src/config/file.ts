import { existsSync, readFileSync } from 'node:fs';
import type { z } from 'zod';
import { shown } from '../errors/input.ts';
import type { Flaw } from '../errors/problem.ts';
import { usualWindowsOf, type WindowDiscounts } from '../job/completion-window.ts';
import {
  type FileSettings,
  fileSchema,
  type ModelSettings,
  type PriceSettings,
  type TenantSettings,
} from './schema.ts';
import { textFrom } from './text-file.ts';

const DEFAULT_PATH = 'o3q.config.json';

/** ReadonlyDeep makes everything in settings read-only. */
type ReadonlyDeep<Settings> = Settings extends object
  ? { readonly [Name in keyof Settings]: ReadonlyDeep<Settings[Name]> }
  : Settings;

/** ModelConfig is a configured model. schema.ts says what each field means. */
export interface ModelConfig extends ReadonlyDeep<Omit<ModelSettings, 'upstream' | 'completionWindows'>> {
  /** The upstream's own name of the model. */
  readonly upstream: string;
  /** The windows among which the queue chooses, with their discounts; empty: none. */
  readonly completionWindows: WindowDiscounts;
}

/** TenantConfig is what the owner of one API key may use. */
export type TenantConfig = ReadonlyDeep<TenantSettings>;

/** PriceConfig is the prices of an upstream model, in US dollars for a million tokens. */
export type PriceConfig = ReadonlyDeep<PriceSettings>;

/** Retention is how many hours a finished job can be read. */
export type Retention = ReadonlyDeep<FileSettings['retention']>;

/** HttpConfig is how callers reach a producer, and what they may send. */
export type HttpConfig = ReadonlyDeep<FileSettings['http']>;

/** FileConfig is everything that the file can say. schema.ts says what each field means. */
export interface FileConfig extends ReadonlyDeep<Omit<FileSettings, '$schema' | 'defaultModel' | 'models'>> {
  readonly defaultModel: string;
  readonly models: Readonly<Record<string, ModelConfig>>;
  /** Whether the built-in o3 with its fallbacks is used, because no file names models. */
  readonly hasBuiltInModels: boolean;
}

/**
 * Models is the part of the file that all processes on one Redis must share: the models, and how long answers
 * are kept.
 */
export type Models = Omit<FileConfig, 'http' | 'hasBuiltInModels'>;

/** WorkerSettings are the part of the file that a worker needs. */
export interface WorkerSettings extends Models {
  /** `publicUrl` makes links in webhooks and in the log. Default: there are none. */
  readonly http?: Pick<HttpConfig, 'publicUrl'>;
}

const MODELS_FIELDS = Object.keys(fileSchema.shape).filter(
  (name): name is keyof Models => name !== '$schema' && name !== 'http',
);

/** upstreamModelsOf lists the upstream's names of a model, in the order in which they are tried. */
export function upstreamModelsOf({
  upstream,
  fallbacks,
}: Pick<ModelConfig, 'upstream' | 'fallbacks'>): string[] {
  return [...new Set([upstream, ...fallbacks])];
}

/** modelsOf picks the part of a configuration that every process needs. */
export function modelsOf(config: Models): Models {
  return Object.fromEntries(MODELS_FIELDS.map((name) => [name, config[name]])) as unknown as Models;
}

/** defaultModels is the configuration without a file: one model, o3. */
export function defaultModels(): Models {
  return modelsOf(configFrom({}, fileSchema.parse({})));
}

/** defaultHttp is how a producer treats its callers without a file. */
export function defaultHttp(): HttpConfig {
  return fileSchema.parse({}).http;
}

/** configPathOf returns the path of the file. @param named see readConfigFile. */
export function configPathOf(named: string | undefined): string {
  return named ?? DEFAULT_PATH;
}

/**
 * readConfigFile reads the file, or lists everything that is wrong with it.
 *
 * @param named the path of O3Q_CONFIG; undefined: the default path, where the file may be missing.
 */
export function readConfigFile(named: string | undefined): FileConfig | { flaws: Flaw[] } {
  const path = configPathOf(named);
  if (named === undefined && !existsSync(path)) return configFrom({}, fileSchema.parse({}));
  let content: unknown;
  try {
    content = JSON.parse(textFrom(readFileSync(path)));
  } catch (error: unknown) {
    const cause = error instanceof Error ? error.message : String(error);
    const isJson = error instanceof SyntaxError;
    return { flaws: [{ path, message: `cannot be read${isJson ? ' as JSON' : ''}: ${cause}` }] };
  }
  const parsed = fileSchema.safeParse(content, { reportInput: true });
  if (parsed.success) return configFrom(content, parsed.data);
  return { flaws: parsed.error.issues.map((issue) => flawFrom(path, issue)) };
}

function flawFrom(file: string, { path, message, input }: z.core.$ZodIssue): Flaw {
  const place = path.map(String).join('.') || '(top)';
  // Our own messages quote the value of the file. zod's messages name the value only for a wrong type, after
  // "received".
  const expected = message
    .replace(/^(?:Invalid input|Too big|Too small): /, '')
    .replace(/, received .*$/, '');
  return {
    path: `${file}: ${place}`,
    message: expected.includes(', got ') ? expected : `${expected}, got ${shown(input)}`,
  };
}

/**
 * configFrom fills in the defaults that depend on other fields. New fields of the schema need no change here.
 *
 * @param content the content of the file, before the schema filled in defaults.
 */
function configFrom(
  content: unknown,
  { $schema: _, defaultModel, models, ...others }: FileSettings,
): FileConfig {
  const names = Object.keys(models);
  const first = names.includes('o3') ? 'o3' : (names[0] ?? 'o3');
  return {
    ...others,
    defaultModel: defaultModel ?? first,
    hasBuiltInModels: !(typeof content === 'object' && content !== null && 'models' in content),
    models: Object.fromEntries(
      Object.entries(models).map(([name, model]) => {
        const { upstream = name, completionWindows = usualWindowsOf(upstream) } = model;
        return [name, { ...model, upstream, completionWindows }];
      }),
    ),
  };
}
