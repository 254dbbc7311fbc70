import { ConfigError } from '../errors/setup-error.ts';

/** ClientConfig says which instance `o3q` and the seven functions call. */
export interface ClientConfig {
  /** The URL of the instance, without a slash at its end. */
  readonly url: string;
  readonly apiKey: string | undefined;
}

export const DEFAULT_CLIENT_URL = 'http://127.0.0.1:3000';
export const HTTP_URL_EXPECTED = 'expected a URL that begins with http:// or https://';

export function isHttpUrl(text: string): boolean {
  return /^https?:\/\/./.test(text) && URL.canParse(text);
}

/**
 * readClientConfig reads the variables of a client. It does not use environment.ts, whose schema needs zod:
 * zod would more than double the time to import the client.
 * @throws {ConfigError}
 */
export function readClientConfig(environment: NodeJS.ProcessEnv = process.env): ClientConfig {
  const url = environment['O3Q_URL'] || DEFAULT_CLIENT_URL;
  if (!isHttpUrl(url)) {
    // A URL with an @ may contain a password.
    const got = url.includes('@') ? '' : `, got "${url}"`;
    throw new ConfigError([{ path: 'O3Q_URL', message: `${HTTP_URL_EXPECTED}${got}` }]);
  }
  return { url: url.replace(/\/+$/, ''), apiKey: environment['O3Q_API_KEY'] || undefined };
}
