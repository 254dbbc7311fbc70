import { O3ClientError } from './client-error.ts';

/** A lone surrogate, half of a character, which no URL can contain. */
const LONE_SURROGATE = /\p{Surrogate}/u;

export function jobPath(id: string): string {
  // No job has such an id: a URL drops dots, and an empty id would name the list.
  if (typeof id !== 'string' || id === '' || id === '.' || id === '..' || LONE_SURROGATE.test(id)) {
    throw new O3ClientError('job_not_found', `Expected the id of a job, got ${JSON.stringify(id)}`);
  }
  return `/jobs/${encodeURIComponent(id)}`;
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

/** pathWith adds a query to a path, without fields that are undefined. */
export function pathWith(path: string, query: object): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  return parameters.size === 0 ? path : `${path}?${parameters}`;
}

export function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new O3ClientError(
      'invalid_client_option',
      `Expected the URL of an o3-queue like http://127.0.0.1:3000, got "${text}"`,
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

/** checkedKey does not show the key in its error: messages end up in logs. */
export function checkedKey(apiKey: string | undefined): string | undefined {
  if (apiKey === undefined || /^[\x21-\x7e]+$/.test(apiKey)) return apiKey;
  throw new O3ClientError(
    'invalid_client_option',
    'Expected an API key (O3Q_API_KEY) of printable ASCII characters without spaces, got others',
  );
}
