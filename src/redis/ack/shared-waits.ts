import { connectRedis, type RedisClient } from '../connection.ts';
import { createRedisGuard, type RedisGuard } from '../guard.ts';
import type { Ack } from './level.ts';

/**
 * How long a write waits for the disk or the replica, in milliseconds. With `appendfsync everysec` the disk
 * takes up to a second. It is less than the two seconds after which a silent connection is cut.
 */
export const ACK_MS = 1500;

/** How many waits of one Redis (or one slot of a cluster) run at once, each on a connection of its own. */
const AT_ONCE = 4;

/** How long the written key of a wait lives, in milliseconds. It only has to be written. */
const TICK_MS = 1000;

/** Written is a field of a hash that was written, and whose write is to be confirmed. */
export interface Written {
  /** A key in the same slot, which the wait writes. */
  readonly tick: string;
  readonly key: string;
  readonly field: string;
}

/** WaitOptions say what is waited for, and where. */
export interface WaitOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly ack: Ack;
  readonly onError: (error: Error) => void;
}

interface Lane {
  readonly redis: RedisClient;
  readonly guard: RedisGuard;
  /** Whether the server's WAITAOF could not be used when it was last asked (see `hasTrueWaitAof`). */
  lacksWaitAof: boolean;
}

function connect({ redisUrl, prefix, onError }: WaitOptions): Lane {
  const redis = connectRedis(redisUrl, 'fail-fast', {
    onError,
    name: `${prefix}:ack`,
    answerMs: ACK_MS + 1000,
  });
  return { redis, guard: createRedisGuard(redis, redisUrl), lacksWaitAof: false };
}

/** Doubt is the reason why a write is not confirmed; undefined: it is confirmed. */
type Doubt = string | undefined;

/** SharedWaits are the waits of one Redis, or of one slot of a cluster. */
export interface SharedWaits {
  confirm(written: Written): Promise<Doubt>;
  close(): void;
}

interface Waiting {
  readonly written: Written;
  readonly resolve: (doubt: Doubt) => void;
}

/**
 * createSharedWaits confirms writes, several by one wait.
 *
 * Writes that come while all waits are under way share the next one. Four waits at once, a quarter of a
 * wait's time apart, are for `appendfsync everysec`: with one, a write would wait for the rest of this second
 * and for the next one.
 */
export function createSharedWaits(options: WaitOptions): SharedWaits {
  const { ack } = options;
  const made: Lane[] = [];
  const free: Lane[] = [];
  let waiting: Waiting[] = [];
  let startedAt = Number.NEGATIVE_INFINITY;
  let tookMs = 0;
  let timer: NodeJS.Timeout | undefined;

  const takeLane = (): Lane | undefined => {
    if (free.length === 0 && made.length < AT_ONCE) {
      const lane = connect(options);
      made.push(lane);
      free.push(lane);
    }
    return free.pop();
  };
  const start = (): void => {
    if (waiting.length === 0 || timer !== undefined) return;
    const now = performance.now();
    const waitMs = startedAt + tookMs / AT_ONCE - now;
    if (waitMs >= 1) {
      timer = setTimeout(() => {
        timer = undefined;
        start();
      }, waitMs);
      return;
    }
    const lane = takeLane();
    // The end of a wait starts the next one.
    if (lane === undefined) return;
    const batch = waiting;
    waiting = [];
    startedAt = now;
    void confirmAll(lane, batch, ack).then((doubts) => {
      tookMs = performance.now() - now;
      for (const [i, { resolve }] of batch.entries()) resolve(doubts[i]);
      free.push(lane);
      start();
    });
  };
  return {
    confirm: (written) =>
      new Promise((resolve) => {
        // The writes of one turn of the event loop share a wait.
        if (waiting.push({ written, resolve }) === 1) setImmediate(start);
      }),
    close() {
      clearTimeout(timer);
      for (const { redis } of made) redis.disconnect();
    },
  };
}

/** Confirms writes by one wait. It never throws. */
async function confirmAll(lane: Lane, batch: readonly Waiting[], ack: Ack): Promise<Doubt[]> {
  const writes = batch.map(({ written }) => written);
  try {
    return await lane.guard(() => confirmTogether(lane, writes, ack));
  } catch (error: unknown) {
    const reason = error instanceof Error ? error.message : String(error);
    return writes.map(() => reason);
  }
}

async function confirmTogether(lane: Lane, writes: readonly Written[], ack: Ack): Promise<Doubt[]> {
  const pipeline = lane.redis.pipeline().set(writes[0]?.tick ?? '', '', 'PX', TICK_MS);
  for (const { key, field } of writes) pipeline.hexists(key, field);
  if (ack === 'replica') pipeline.call('WAIT', '1', ACK_MS);
  else if (lane.lacksWaitAof) pipeline.config('GET', 'append*');
  else pipeline.info('server').call('WAITAOF', '1', '0', ACK_MS);
  const replies = (await pipeline.exec()) ?? [];
  if (ack === 'disk' && !lane.lacksWaitAof && !hasTrueWaitAof(String(replies[writes.length + 1]?.[1]))) {
    lane.lacksWaitAof = true;
    return confirmTogether(lane, writes, ack);
  }
  const [refused, waited] = replies.at(-1) ?? [new Error('no reply'), undefined];
  const [notWritten] = replies[0] ?? [new Error('no reply')];
  const doubt = notWritten?.message ?? refused?.message ?? doubtOf(ack, waited, lane);
  // A failover may have led to a newer server: the next wait looks again.
  if (doubt !== undefined) lane.lacksWaitAof = false;
  return writes.map((_, i) => {
    const [error, exists] = replies[i + 1] ?? [undefined, 0];
    if (doubt !== undefined || error) return doubt ?? error?.message;
    return exists === 1 ? undefined : 'the server does not have the write (any more)';
  });
}

/** Returns why the reply of a wait does not confirm what is asked for. */
function doubtOf(ack: Ack, reply: unknown, { lacksWaitAof }: Lane): Doubt {
  if (ack === 'replica') {
    return Number(reply) >= 1 ? undefined : `no replica has confirmed it within ${ACK_MS} ms`;
  }
  if (lacksWaitAof) return flushesAlways(reply) ? undefined : 'appendfsync is not always on this server';
  const [flushed] = Array.isArray(reply) ? reply : [];
  return Number(flushed) >= 1 ? undefined : `the append-only file was not flushed within ${ACK_MS} ms`;
}

/**
 * hasTrueWaitAof tells by `INFO server` whether a server's WAITAOF can be trusted: only that of Redis 8.0 and
 * newer. With `appendfsync everysec`, that of Redis 7.2 and 7.4 and of Valkey answers before the flush, for
 * each write within a second after the last flush: https://github.com/redis/redis/pull/13793. Seen, with
 * strace, in Valkey 8.0.1; the same lines are in the source of Valkey 9.1.2.
 */
export function hasTrueWaitAof(info: string): boolean {
  const [, major = '0'] = /^redis_version:(\d+)\./m.exec(info) ?? [];
  return Number(major) >= 8 && !/valkey/i.test(info);
}

/**
 * flushesAlways tells by `CONFIG GET append*` whether a server answers each write only after it has flushed
 * its append-only file.
 */
export function flushesAlways(reply: unknown): boolean {
  const words = Array.isArray(reply) ? reply : [];
  const settingOf = (name: string): unknown => words[words.indexOf(name) + 1];
  return settingOf('appendonly') === 'yes' && settingOf('appendfsync') === 'always';
}
