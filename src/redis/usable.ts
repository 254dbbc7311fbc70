import type { RedisClient } from './connection.ts';
import { RedisUnavailableError } from './unavailable-error.ts';
import { maskRedisUrl } from './url.ts';

/** AssertRedisUsableOptions configure one check. */
export type AssertRedisUsableOptions = {
  /** Called with a sentence about a setting that can lose jobs. */
  readonly warn: (sentence: string) => void;
  /** How long to wait for the first connection, in milliseconds. Default 5000. */
  readonly timeoutMs?: number;
};

const OLDEST_VERSION = [6, 2] as const;

/**
 * assertRedisUsable waits until Redis answers, then checks that BullMQ can run on it. The embedded Redis
 * never replaces a configured one that does not answer, because that would hide its jobs. The caller
 * disconnects the client, also after a failure.
 *
 * @throws {RedisUnavailableError}
 */
export async function assertRedisUsable(
  client: RedisClient,
  url: string,
  { warn, timeoutMs = 5000 }: AssertRedisUsableOptions,
): Promise<void> {
  await untilReady(client, url, timeoutMs);
  const info = await client.info().catch((error: unknown) => {
    throw new RedisUnavailableError(
      `Redis at ${maskRedisUrl(url)} did not answer INFO: ${causeOf(error)}. ` +
        'Allow this user to run it (ACL: +info), then start again.',
    );
  });

  const version = field(info, 'redis_version');
  if (isOlder(version)) {
    throw new RedisUnavailableError(
      `Redis at ${maskRedisUrl(url)} is version ${version}; version ${OLDEST_VERSION.join('.')} or newer ` +
        '(or Valkey) is needed. Upgrade it, or point REDIS_URL at a newer one.',
    );
  }

  const policy = field(info, 'maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    warn(
      `Redis at ${maskRedisUrl(url)} has maxmemory-policy ${policy}: when its memory is full it will silently ` +
        'delete jobs and results. Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its ' +
        'configuration file).',
    );
  }
}

function untilReady(client: RedisClient, url: string, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let lastError: unknown;
    const remember = (error: unknown) => {
      lastError = error;
    };
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      client.off('ready', succeed).off('end', fail).off('error', remember).off('node error', remember);
      settle();
    };
    const succeed = () => finish(resolve);
    const fail = () =>
      finish(() =>
        reject(
          new RedisUnavailableError(
            `Redis at ${maskRedisUrl(url)} cannot be used: ` +
              `${lastError === undefined ? 'no answer' : causeOf(lastError)} (waited ${timeoutMs / 1000} s). ` +
              'Start it or correct REDIS_URL; without REDIS_URL an embedded Redis is started.',
          ),
        ),
      );
    const timer = setTimeout(fail, timeoutMs);
    client.on('ready', succeed).on('end', fail).on('error', remember).on('node error', remember);
  });
}

function causeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  // A host with several addresses fails with an AggregateError, whose own message is empty.
  if ('errors' in error && Array.isArray(error.errors) && error.errors.length > 0) {
    return error.errors.map(causeOf).join('; ');
  }
  const message = 'message' in error ? String(error.message) : String(error);
  return 'lastNodeError' in error ? `${message} ${causeOf(error.lastNodeError)}` : message;
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

/** An unknown version passes: BullMQ checks the version again by its own rules. */
function isOlder(version: string | undefined): boolean {
  const [major = Number.NaN, minor = Number.NaN] = (version ?? '').split('.').map(Number);
  return major < OLDEST_VERSION[0] || (major === OLDEST_VERSION[0] && minor < OLDEST_VERSION[1]);
}
