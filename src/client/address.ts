import { shown } from '../errors/input.ts';
import { jobIdRefusal } from '../job/fields/option-rules.ts';
import { O3ClientError } from './client-error.ts';

/** O3ClientOptions say how a client reaches its instance. */
export interface O3ClientOptions {
  /**
   * The URL of the instance, such as `http://127.0.0.1:3000`. It may contain a path, for an instance behind a
   * proxy.
   */
  url: string;
  /** The API key, sent as `Authorization: Bearer`. Default: none is sent. */
  apiKey?: string | undefined;
  /**
   * How long a read is repeated while the instance does not answer or has no Redis, in milliseconds. Default
   * 2,000.
   */
  readPatienceMs?: number;
}

const CLIENT_OPTIONS: readonly string[] = [
  'url',
  'apiKey',
  'readPatienceMs',
] satisfies (keyof O3ClientOptions)[];

/** A lone surrogate is half of a character. No URL can contain one. */
const LONE_SURROGATE = /\p{Surrogate}/u;

export function jobPath(id: string): string {
  const refusal = jobIdRefusal(id);
  if (refusal !== undefined) throw new O3ClientError('job_not_found', refusal);
  return `/jobs/${encodeURIComponent(id)}`;
}

/** actionPath is the path of a long action. @throws {O3ClientError} `action_not_found` */
export function actionPath(id: string): string {
  if (jobIdRefusal(id) === undefined) return `/actions/${encodeURIComponent(id)}`;
  throw new O3ClientError('action_not_found', `Expected the id of an action, got ${shown(id)}`);
}

export function modelPath(model: string): string {
  if (
    typeof model !== 'string' ||
    model === '' ||
    model === '.' ||
    model === '..' ||
    LONE_SURROGATE.test(model)
  ) {
    throw new O3ClientError(
      'model_not_configured',
      `Expected the name of a model, got ${JSON.stringify(model)}`,
    );
  }
  return `/models/${encodeURIComponent(model)}`;
}

/**
 * pathWith adds a query to a path, without the fields of the query that are undefined. An object becomes a
 * parameter for each of its fields, as in `metadata[customer]=4711`.
 */
export function pathWith(path: string, query: object): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (typeof value === 'object' && value !== null) {
      for (const [key, each] of Object.entries(value)) parameters.set(`${name}[${key}]`, String(each));
    } else if (value !== undefined) parameters.set(name, String(value));
  }
  return parameters.size === 0 ? path : `${path}?${parameters}`;
}

/**
 * checkedClientOptions refuses options that the client does not know, and a `readPatienceMs` that is not a
 * number. For an unknown option the error contains its name but not its value.
 */
export function checkedClientOptions(options: O3ClientOptions): O3ClientOptions {
  if (typeof options !== 'object' || options === null) {
    throw new O3ClientError('invalid_client_option', `Expected options like { url }, got ${shown(options)}`);
  }
  const unknown = Object.keys(options).find((name) => !CLIENT_OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw new O3ClientError(
      'invalid_client_option',
      `Expected only ${CLIENT_OPTIONS.join(', ')} as options of the client, got ${shown(unknown)}`,
    );
  }
  const { readPatienceMs } = options;
  if (readPatienceMs === undefined || typeof readPatienceMs === 'number') return options;
  throw new O3ClientError(
    'invalid_client_option',
    `Expected readPatienceMs to be a number of milliseconds, got ${shown(readPatienceMs)}`,
  );
}

export function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new O3ClientError(
      'invalid_client_option',
      `Expected the URL of an o3-queue like http://127.0.0.1:3000, got ${shown(text)}`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new O3ClientError(
      'invalid_client_option',
      'Expected a URL without a user and a password in it; give the key as apiKey (O3Q_API_KEY)',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/**
 * checkedKey checks an API key. Its error does not contain the key, because error messages end up in logs.
 */
export function checkedKey(apiKey: string | undefined): string | undefined {
  if (apiKey === undefined || (typeof apiKey === 'string' && /^[\x21-\x7e]+$/.test(apiKey))) return apiKey;
  throw new O3ClientError(
    'invalid_client_option',
    'Expected an API key (O3Q_API_KEY) of printable ASCII characters without spaces, got others',
  );
}
