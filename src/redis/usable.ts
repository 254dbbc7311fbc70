import { RedisUnavailableError } from '../errors/setup-error.ts';
import type { Ack } from './ack/level.ts';
import { assertAckPossible } from './ack/requirement.ts';
import type { RedisClient } from './connection.ts';
import {
  isLastingRefusal,
  isMoved,
  isReadOnlyRefusal,
  isRedisAway,
  isRedisRefusal,
  isRefusedSelect,
} from './refusal.ts';
import { defineScript } from './script.ts';
import { maskRedisUrl } from './url.ts';

/** AssertRedisUsableOptions configure one check. */
export type AssertRedisUsableOptions = {
  /** Called with a warning: a setting that can lose jobs, or a Redis that accepts no writes now. */
  readonly warn: (sentence: string) => void;
  /** How long to wait for the first connection, in milliseconds. Default 5000. */
  readonly timeoutMs?: number;
  /** The prefix of the keys and channels that this program uses. Default: no write is tried. */
  readonly prefix?: string;
  /** What `O3Q_ACK` asks for; it is tried after the rights. Default `memory`. */
  readonly ack?: Ack;
};

const OLDEST_VERSION = [6, 2] as const;
/**
 * LAYOUT numbers how o3-queue stores its data in Redis. It is raised by a change that a process of the
 * version before would misread or damage; new keys and new optional fields do not raise it.
 */
const LAYOUT = '1';

/**
 * assertRedisUsable waits until Redis answers, then checks that BullMQ and our scripts can run on it: the
 * version, the database, each right of this user, by using it, and the layout of what is stored under the
 * prefix. When a configured Redis does not answer, the embedded Redis does not replace it, because that would
 * hide the jobs in the configured Redis. The caller disconnects the client, also after a failure.
 *
 * @throws {RedisUnavailableError}
 */
export async function assertRedisUsable(
  client: RedisClient,
  url: string,
  { warn, timeoutMs = 5000, prefix, ack = 'memory' }: AssertRedisUsableOptions,
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
  if (field(info, 'aof_enabled') === '0') {
    warn(
      `Redis at ${maskRedisUrl(url)} keeps no append-only file (appendonly no): a restart loses the jobs that came ` +
        'since its last snapshot. Set appendonly yes, unless a replica takes its place when it dies ' +
        '(docs/operating/REDIS.md).',
    );
  }
  if (prefix === undefined) return;
  await checkRights(client, url, { warn, prefix });
  await checkLayout(client, url, prefix);
  await assertAckPossible(client, url, { ack, prefix });
}

/** writeOfEachKind writes one key of each type that BullMQ and our scripts use, and publishes a message. */
const writeOfEachKind = defineScript({
  name: 'redis.check',
  keys: ['checked'],
  lua: /* lua */ `
local function write(...)
  redis.call('DEL', checked)
  redis.call(...)
end
write('HSET', checked, 'field', '1')
write('RPUSH', checked, '1')
write('SADD', checked, '1')
write('ZADD', checked, '1', '1')
write('XADD', checked, '*', 'field', '1')
write('SET', checked, '', 'PX', '1000')
return redis.call('PUBLISH', checked, '')
`,
});

/** @throws {RedisUnavailableError} naming the right that is missing. */
async function checkRights(
  client: RedisClient,
  url: string,
  { warn, prefix }: { warn: (sentence: string) => void; prefix: string },
): Promise<void> {
  const name = `${prefix}:check`;
  const rights: readonly [right: string, acl: string, use: () => Promise<unknown>][] = [
    [`write keys that begin with ${prefix}:`, `~${prefix}:* +@write`, () => client.set(name, '', 'PX', 1000)],
    [`listen to channels that begin with ${prefix}:`, `&${prefix}:* +@pubsub`, () => hear(client, name)],
    [
      `publish to channels that begin with ${prefix}:`,
      `&${prefix}:* +@pubsub`,
      () => client.publish(name, ''),
    ],
    ['run scripts', '+@scripting', () => writeOfEachKind.run(client, { keys: { checked: name }, args: {} })],
  ];
  for (const [right, acl, use] of rights) {
    try {
      await use();
    } catch (error: unknown) {
      if (isRedisRefusal(error) && !isLastingRefusal(error)) {
        const where = `Redis at ${maskRedisUrl(url)}`;
        warn(
          `${where} accepts no writes now (${causeOf(error)}). Until it does, new jobs are refused and answers ` +
            'wait.',
        );
        return;
      }
      throw new RedisUnavailableError(`Redis at ${maskRedisUrl(url)} ${lackOf(error, right, acl)}`);
    }
  }
}

/**
 * The first process under a prefix writes the layout. Each later one compares it with its own: during a
 * rolling deploy two versions share one Redis, and each would write what the other misreads.
 *
 * @throws {RedisUnavailableError} naming both layouts.
 */
async function checkLayout(client: RedisClient, url: string, prefix: string): Promise<void> {
  const name = `${prefix}:layout`;
  await client.setnx(name, LAYOUT).catch((error: unknown) => {
    // The next process that starts writes it.
    if (!isRedisRefusal(error) || isLastingRefusal(error)) throw error;
  });
  const found = await client.get(name);
  if (found === null || found === LAYOUT) return;
  const other = Number(found) > Number(LAYOUT) ? 'a newer' : 'an older';
  throw new RedisUnavailableError(
    `Redis at ${maskRedisUrl(url)} has data of ${other} o3-queue under ${prefix}: (layout ${found}; this version ` +
      `has layout ${LAYOUT}). Start that version, or choose another O3Q_PREFIX. docs/operating/UPGRADING.md ` +
      'has the way from one to the other.',
  );
}

function lackOf(error: unknown, right: string, acl: string): string {
  const cause = causeOf(error);
  if (!isRedisRefusal(error) && isRedisAway(error)) return `broke off: ${cause}. Start it again.`;
  if (error instanceof Error && isReadOnlyRefusal(error))
    return `is a replica, which takes no writes (${cause}). Point REDIS_URL at its master.`;
  if (error instanceof Error && isMoved(error))
    return `is a node of a cluster (${cause}). Write REDIS_URL as redis+cluster://.`;
  return `does not let this user ${right} (${cause}). Allow it (ACL: ${acl}), then start again.`;
}

async function hear(client: RedisClient, channel: string): Promise<void> {
  await client.subscribe(channel);
  await client.unsubscribe(channel);
}

function untilReady(client: RedisClient, url: string, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let lastError: unknown;
    const remember = (error: unknown) => {
      lastError = error;
      // Redis would refuse this database or password again, so no later try can succeed.
      if (isRefusedSelect(error) || isRefusedPassword(error)) fail();
    };
    const fail = () => finish(() => reject(new RedisUnavailableError(unusable(url, lastError, timeoutMs))));
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      client.off('ready', succeed).off('end', fail).off('error', remember).off('node error', remember);
      settle();
    };
    const succeed = () => finish(resolve);
    const timer = setTimeout(fail, timeoutMs);
    client.on('ready', succeed).on('end', fail).on('error', remember).on('node error', remember);
  });
}

/** isRefusedPassword tells whether Redis wants a password or refuses the one of REDIS_URL. */
function isRefusedPassword(error: unknown): boolean {
  return error instanceof Error && /^(?:NOAUTH|WRONGPASS)\b/.test(error.message);
}

function unusable(url: string, error: unknown, timeoutMs: number): string {
  const where = `Redis at ${maskRedisUrl(url)}`;
  if (isRefusedSelect(error)) {
    return (
      `${where} does not have the database that REDIS_URL names, or keeps this user out of it ` +
      `(${error.message}). Correct the number at the end of REDIS_URL.`
    );
  }
  const cause = error === undefined ? 'no answer' : causeOf(error);
  const remedy = remedyOf(cause, url);
  if (remedy !== undefined) return `${where} cannot be used: ${cause}. ${remedy}`;
  return (
    `${where} cannot be used: ${cause} (waited ${timeoutMs / 1000} s). ` +
    'Start it or correct REDIS_URL; without REDIS_URL an embedded Redis is started.'
  );
}

/** Returns what to do about a refusal that lasts; undefined: the server may only be away. */
function remedyOf(cause: string, url: string): string | undefined {
  const whole = 'REDIS_URL is redis://USER:PASSWORD@HOST:PORT, with % codes for characters such as @ and /';
  if (/\bNOAUTH\b|no password is (?:set|supplied)|Authentication required/i.test(cause) && !hasPassword(url))
    return `It wants a password, and REDIS_URL has none. ${whole}.`;
  if (/\bWRONGPASS\b|\bNOAUTH\b|invalid password|invalid username/i.test(cause))
    return `The password of REDIS_URL, or its user, is wrong, or the user is off. Correct it: ${whole}.`;
  if (
    /self[- ]signed certificate|unable to (?:verify|get)|certificate signature|unable to get issuer/i.test(
      cause,
    )
  )
    return (
      'This process does not know the authority that signed its certificate. Put the authority’s certificate ' +
      'into a file and its path into NODE_EXTRA_CA_CERTS, in the environment of each process.'
    );
  if (/altnames|ERR_TLS_CERT_ALTNAME/i.test(cause))
    return 'Its certificate is for another name. Connect by a name of the certificate, or issue it for this one.';
  if (/certificate has expired/i.test(cause)) return 'Renew its certificate.';
  if (/wrong version number|packet length too long|record layer|EPROTO/i.test(cause))
    return 'It does not speak TLS on this port. Write redis:// instead of rediss://, or use its port for TLS.';
  return undefined;
}

function hasPassword(url: string): boolean {
  return /:\/\/[^@/]*:[^@]+@/.test(url);
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

/** isOlder is false for an unknown version: BullMQ checks the version again by its own rules. */
function isOlder(version: string | undefined): boolean {
  const [major = Number.NaN, minor = Number.NaN] = (version ?? '').split('.').map(Number);
  return major < OLDEST_VERSION[0] || (major === OLDEST_VERSION[0] && minor < OLDEST_VERSION[1]);
}
