import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { canonicalJson } from '../../src/job/exact-json.ts';
import type { ParsedRequest } from '../../src/job/request.ts';
import { endUndelivered, openUndelivered } from '../../src/lua/enqueue/undelivered.ts';
import type { TenantStorage } from '../../src/queue/tenant-queue.ts';
import { outsideTraces } from '../../src/tracing/span-context.ts';
import { throughOutages } from './retry-through-outage.ts';

/**
 * Undelivered remembers calls without an idempotency key until their answer is delivered. When a connection
 * breaks before that, the next call with the same request gets the same idempotency key, and so the job of
 * the first call.
 *
 * Two calls that are answered at the same time never share a key. Other producers must therefore know whether
 * a call's producer is alive or was killed: it renews a heartbeat while it answers calls. ARCHITECTURE.md has
 * the states.
 */
export interface Undelivered {
  /** Begins a call. It is recorded in Redis before its job can be enqueued. */
  open(request: ParsedRequest, options: OpenOptions): Promise<UndeliveredCall>;
}

export interface OpenOptions {
  storage: TenantStorage;
  /** Whether the caller says that it has sent this request before. */
  isRetry: boolean;
  /** Whether the caller wants a new answer instead of that of an earlier equal call. */
  isAgain: boolean;
}

export interface UndeliveredCall {
  readonly idempotencyKey: string;
  /**
   * Ends the call. Its key is `left` to the next call with the same request, or `forgotten`: the answer is
   * delivered, or no other call may get this job. While Redis is away, this waits until it is back.
   * @returns whether the call still held the key. A retry may have taken it.
   */
  end(key: 'left' | 'forgotten'): Promise<boolean>;
}

/**
 * How long a job is left for the next call, and how long a producer's last heartbeat is kept, in
 * milliseconds.
 */
const LEFT_MS = 10 * 60 * 1000;
/** How many jobs are left for one request at most. The newest ones are kept. */
const MOST_LEFT = 100;
/** How long a call is remembered while its producer answers it, in milliseconds. */
const OPEN_MS = 24 * 3600 * 1000;
const HEARTBEAT_MS = 500;
/**
 * A producer counts as dead when its last heartbeat is this old, in milliseconds: the producer has then
 * missed eight heartbeats.
 */
const DEAD_MS = 4000;
/**
 * How long the heartbeat of such a producer is watched, in milliseconds. The heartbeat may be old only
 * because Redis was away, and a new one then comes.
 */
const WATCHED_MS = 2 * HEARTBEAT_MS;
const LOOK_EVERY_MS = 100;

/**
 * createUndelivered makes the record of one producer process.
 * @param draining aborts when the producer is about to stop: from then on it does not wait for Redis.
 */
export function createUndelivered(draining: AbortSignal): Undelivered {
  const producer = randomUUID();
  const heart = createHeart(producer);
  return {
    async open(request, { storage, isRetry, isAgain }) {
      const { redis, guard } = storage;
      const keys = { ...undeliveredKeysOf(storage.prefix, hashOf(storage.tenant, request)) };
      const call = randomUUID();
      const args = { producer, call, leftMs: LEFT_MS, openMs: OPEN_MS };
      const newKey = `${isAgain ? 'again' : 'asked'}-${randomUUID()}`;
      const flags = { newKey, isRetry: isRetry ? '1' : '0', isAgain: isAgain ? '1' : '0' };
      const producers = watchProducers(producer, storage);
      /** Takes or makes a key. */
      const hold = async (): Promise<string> => {
        for (;;) {
          const answer = await guard(() =>
            openUndelivered.run(redis, { keys, args: { ...args, ...flags }, rest: producers.states() }),
          );
          const [outcome, ...values] = answer as string[];
          if (outcome !== 'look') return values[0] ?? newKey;
          await Promise.all(values.map((id) => producers.look(id)));
          // During this sleep the producer of the earlier call notices that its connection has closed, and
          // leaves the key.
          await sleep(LOOK_EVERY_MS);
        }
      };
      const stopHeart = await heart.beatFor(storage);
      let key: string;
      try {
        key = await hold();
      } catch (error: unknown) {
        stopHeart();
        throw error;
      }
      return {
        idempotencyKey: key,
        async end(what) {
          const isLeft = what === 'left' ? '1' : '0';
          const ends = { producer, call, key, isLeft, leftMs: LEFT_MS, mostLeft: MOST_LEFT };
          try {
            const held = await throughOutages(
              () => guard(() => endUndelivered.run(redis, { keys, args: ends })),
              draining,
            );
            return held === 1;
          } finally {
            stopHeart();
          }
        },
      };
    },
  };
}

function hashOf(tenant: string, request: ParsedRequest): string {
  return createHash('sha256')
    .update(`${tenant}\0${canonicalJson(request)}`)
    .digest('hex');
}

/** Producers finds out which producers are alive. */
interface Producers {
  /** Reads the heartbeat of a producer whose state is not known. */
  look(producer: string): Promise<void>;
  /** Returns each producer whose state is known by now, followed by its state. */
  states(): string[];
}

/**
 * watchProducers starts to watch other producers, for the producer `own`. The heartbeat at the first look may
 * be a producer's last one. A producer therefore counts as alive only once a newer heartbeat comes, which
 * takes as long as the time between two heartbeats. When no newer heartbeat comes, the producer counts as
 * dead after some seconds, or as `gone` when its last heartbeat is so old that it is no longer kept.
 */
function watchProducers(own: string, { redis, prefix, guard }: TenantStorage): Producers {
  const known = new Map<string, 'alive' | 'dead' | 'gone'>();
  /**
   * By producer: the PTTL of its heartbeat at the last look, and the time of the first look by
   * `performance.now()`, in milliseconds.
   */
  const seen = new Map<string, { leftMs: number; since: number }>();
  return {
    async look(producer) {
      if (producer === own) {
        known.set(producer, 'alive');
        return;
      }
      const leftMs = await guard(() => redis.pttl(producerHeartbeatKey(prefix, producer)));
      const { leftMs: before, since } = seen.get(producer) ?? { leftMs, since: performance.now() };
      seen.set(producer, { leftMs, since });
      // PTTL is negative for a key that does not exist.
      const isOld = leftMs >= 0 && LEFT_MS - leftMs >= DEAD_MS;
      if (leftMs > before) known.set(producer, 'alive');
      else if (performance.now() - since >= (isOld ? WATCHED_MS : DEAD_MS))
        known.set(producer, leftMs < 0 ? 'gone' : 'dead');
    },
    states: () => [...known].flat(),
  };
}

interface Heart {
  /** Sends heartbeats until the returned function is called. It resolves after the first heartbeat. */
  beatFor(storage: TenantStorage): Promise<() => void>;
}

function createHeart(producer: string): Heart {
  let calls = 0;
  let timer: NodeJS.Timeout | undefined;
  let first: Promise<unknown> | undefined;
  return {
    async beatFor({ redis, prefix, guard }) {
      const beat = (): Promise<unknown> =>
        redis.set(producerHeartbeatKey(prefix, producer), '', 'PX', LEFT_MS);
      calls += 1;
      let isOver = false;
      const stop = (): void => {
        if (isOver) return;
        isOver = true;
        calls -= 1;
        if (calls > 0) return;
        clearInterval(timer);
        timer = undefined;
        first = undefined;
      };
      if (timer === undefined) {
        // It beats on for other calls after this one.
        timer = outsideTraces(() => setInterval(() => void beat().catch(() => {}), HEARTBEAT_MS).unref());
        first = guard(beat);
      }
      try {
        await first;
      } catch (error: unknown) {
        stop();
        throw error;
      }
      return stop;
    },
  };
}

/**
 * UndeliveredKeys name what producers store about the calls that sent one request and whose answers are not
 * delivered yet. Each request has a slot of its own.
 */
interface UndeliveredKeys {
  /** left is a sorted set of the keys of calls whose connection broke, by the time (ms) of the first call. */
  readonly left: string;
  /** producers is the set of the producers that have a set under `openPrefix`. */
  readonly producers: string;
  /** openPrefix with a producer's id is a sorted set of the calls that it is answering, by their begin (ms). */
  readonly openPrefix: string;
}

/** undeliveredKeysOf names the keys of one request; `request` is a hash of the tenant and the request. */
function undeliveredKeysOf(prefix: string, request: string): UndeliveredKeys {
  const name = `${prefix}:undelivered:{${request}}`;
  return { left: `${name}:left`, producers: `${name}:producers`, openPrefix: `${name}:open:` };
}

/**
 * producerHeartbeatKey names an empty string that a producer renews. Its remaining time to live shows how
 * long ago the producer last renewed it.
 */
function producerHeartbeatKey(prefix: string, producer: string): string {
  return `${prefix}:producer:${producer}`;
}
