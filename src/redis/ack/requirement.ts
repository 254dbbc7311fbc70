import { RedisUnavailableError } from '../../errors/setup-error.ts';
import type { RedisClient } from '../connection.ts';
import { maskRedisUrl } from '../url.ts';
import type { Ack } from './level.ts';
import { flushesAlways, hasTrueWaitAof } from './shared-waits.ts';

/**
 * assertAckPossible tries what `O3Q_ACK` asks for. That no replica is connected now is no reason to refuse: it
 * may come, and each answer says what was reached.
 *
 * @param prefix `O3Q_PREFIX`.
 * @throws {RedisUnavailableError} naming what the server or this user lacks.
 */
export async function assertAckPossible(
  client: RedisClient,
  url: string,
  { ack, prefix }: { ack: Ack; prefix: string },
): Promise<void> {
  if (ack === 'memory') return;
  const lack = ack === 'replica' ? await lackOfWait(client, prefix) : await lackOfDisk(client, prefix);
  if (lack === undefined) return;
  throw new RedisUnavailableError(
    `O3Q_ACK=${ack} cannot be kept with Redis at ${maskRedisUrl(url)}: ${lack}, or set O3Q_ACK=memory.`,
  );
}

async function lackOfWait(client: RedisClient, prefix: string): Promise<string | undefined> {
  const refusal = await refusalOf(client, prefix, ['WAIT', '0', '1']);
  return refusal === undefined ? undefined : refusedText('WAIT', refusal);
}

async function lackOfDisk(client: RedisClient, prefix: string): Promise<string | undefined> {
  const info = await client.info();
  if (/^aof_enabled:0/m.test(info)) {
    return 'its append-only file is off. Switch it on (CONFIG SET appendonly yes, and in its configuration file)';
  }
  if (hasTrueWaitAof(info)) {
    const refusal = await refusalOf(client, prefix, ['WAITAOF', '1', '0', '1']);
    return refusal === undefined ? undefined : refusedText('WAITAOF', refusal);
  }
  const needed = `Redis 8.0 or newer, or appendfsync always, was expected, and this server is ${nameOf(info)}`;
  try {
    if (flushesAlways(await client.config('GET', 'append*'))) return undefined;
    return `${needed} with another appendfsync. Set appendfsync always, or upgrade it`;
  } catch (error: unknown) {
    const why = error instanceof Error ? error.message : String(error);
    return (
      `${needed}, which does not say its appendfsync (${why}). Set appendfsync always and allow this user to ` +
      'read it (ACL: +config|get), or upgrade it'
    );
  }
}

function nameOf(info: string): string {
  const [, valkey] = /^valkey_version:(\S+)/m.exec(info) ?? [];
  const [, redis = 'of an unknown version'] = /^redis_version:(\S+)/m.exec(info) ?? [];
  return valkey === undefined ? `Redis ${redis}` : `Valkey ${valkey}`;
}

/** Returns the server's refusal of a wait; undefined: it took it. In a cluster the key leads to one node. */
async function refusalOf(
  client: RedisClient,
  prefix: string,
  [word, ...args]: readonly [string, ...string[]],
): Promise<Error | undefined> {
  const replies = await client
    .pipeline()
    .set(`${prefix}:check`, '', 'PX', 1000)
    .call(word, ...args)
    .exec();
  return replies?.at(-1)?.[0] ?? undefined;
}

function refusedText(word: string, { message }: Error): string {
  if (/NOPERM/.test(message))
    return `this user may not run ${word} (${message}). Allow it (ACL: +${word.toLowerCase()})`;
  return `it refuses ${word} (${message}). Use a server that takes it`;
}
