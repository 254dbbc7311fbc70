import { Redis } from 'ioredis';
import { sleep } from '../../src/async/sleep.ts';
import type { ChaosRedis } from '../fleet/redis.ts';
import {
  type ReplicatedRedis,
  startClusterRedis,
  startNamedRedis,
  startSentinelRedis,
} from '../fleet/replicated-redis.ts';
import type { World } from '../scenario.ts';

/**
 * BACKGROUND and FOREGROUND are the two models of every variant. In a cluster both have their keys on one
 * master.
 */
export const BACKGROUND = 'o3';
export const FOREGROUND = 'foreground';

/** Strike has the times of what a variant did to Redis, in Unix milliseconds. */
export interface Strike {
  faultAt: number;
  /** When Redis could be used again: the replica is promoted, or the server is back. */
  backAt: number;
  /**
   * The time from the moment when the replica was cut off until the master was killed. A job that was
   * accepted in this time may be lost by asynchronous replication. Default: no such time.
   */
  unreplicated?: { from: number; to: number };
}

/** Variant is one way in which a Redis fails. */
export interface Variant {
  name: string;
  /** One line for the report. */
  what: string;
  start(): Promise<StartedVariant>;
}

/** StartedVariant is a variant whose servers run, before anything has been done to them. */
export interface StartedVariant {
  /** undefined: the single server of the fleet. */
  redis: ChaosRedis | undefined;
  strike(world: World, times: StrikeTimes): Promise<Strike>;
  /** Brings the old server back, long after the strike. */
  bringBack(): Promise<void>;
}

export interface StrikeTimes {
  /** How long a single server is away, in milliseconds. */
  awayMs: number;
  /** How long a replica is cut off before its master is killed, in milliseconds. */
  lagMs: number;
}

const nothing = async (): Promise<void> => {};

/** VARIANTS are the ways in which a Redis fails, those with a replica first. */
export const VARIANTS: readonly Variant[] = [
  variant('killed', 'Sentinel: the master is killed', startSentinelRedis, killMaster),
  hung('hung', 'Sentinel: the master hangs, and thaws long after the promotion', 'later'),
  hung('thawed', 'Sentinel: the master hangs, and thaws right after the promotion', 'at once'),
  {
    name: 'restarted',
    what: 'Sentinel: the master is killed, and started again right after the promotion',
    async start() {
      const redis = await startSentinelRedis();
      return {
        redis,
        async strike(world) {
          const strike = await killMaster(redis, world);
          await redis.restart();
          return strike;
        },
        bringBack: nothing,
      };
    },
  },
  {
    name: 'sentinel',
    what: 'Sentinel: the first sentinel hangs, new processes start, then the master is killed',
    async start() {
      const redis = await startSentinelRedis();
      return {
        redis,
        async strike(world) {
          redis.hangFirstSentinel();
          await Promise.all([world.fleet.addWorker(), world.fleet.replaceProducer()]);
          return killMaster(redis, world);
        },
        bringBack: redis.restart,
      };
    },
  },
  variant('cut', 'Sentinel: the replica is cut off, then the master is killed', startSentinelRedis, killLate),
  variant(
    'min-replicas',
    'the same, with min-replicas-to-write 1',
    startSentinelRedis,
    async (redis, world, times) => {
      await redis.masterAdmin.config('SET', 'min-replicas-to-write', '1');
      return killLate(redis, world, times);
    },
  ),
  {
    name: 'name',
    what: 'one name: it leads to the promoted replica, and the old master goes on as a replica',
    async start() {
      const redis = await startNamedRedis();
      return {
        redis,
        async strike() {
          const faultAt = Date.now();
          await redis.failOver();
          return { faultAt, backAt: Date.now() };
        },
        bringBack: nothing,
      };
    },
  },
  variant('cluster', 'Cluster: the master with the jobs is killed', startModelsOnOneMaster, killMaster),
  {
    name: 'slots',
    what: 'Cluster: the slots of the jobs move to another master',
    async start() {
      const redis = await startModelsOnOneMaster();
      return {
        redis,
        async strike() {
          const faultAt = Date.now();
          await redis.moveSlots();
          return { faultAt, backAt: Date.now() };
        },
        bringBack: nothing,
      };
    },
  },
  single(
    'single-killed',
    'one server: it is killed, and started again',
    (redis) => redis.kill(),
    (redis) => redis.restart(),
  ),
  single(
    'single-hung',
    'one server: it hangs, and thaws',
    async (redis) => redis.signal('SIGSTOP'),
    async (redis) => redis.signal('SIGCONT'),
  ),
  single(
    'single-full',
    'one server: it is full, until there is room again',
    (redis) => command(redis, 'CONFIG', 'SET', 'maxmemory', '1'),
    (redis) => command(redis, 'CONFIG', 'SET', 'maxmemory', '0'),
  ),
  single(
    'single-read-only',
    'one server: it is a replica for a while',
    (redis) => command(redis, 'REPLICAOF', '127.0.0.1', '1'),
    (redis) => command(redis, 'REPLICAOF', 'NO', 'ONE'),
  ),
];

function variant(
  name: string,
  what: string,
  start: () => Promise<ReplicatedRedis>,
  strike: (redis: ReplicatedRedis, world: World, times: StrikeTimes) => Promise<Strike>,
): Variant {
  return {
    name,
    what,
    async start() {
      const redis = await start();
      return {
        redis,
        strike: (world, times) => strike(redis, world, times),
        bringBack: redis.restart,
      };
    },
  };
}

function hung(name: string, what: string, thaws: 'at once' | 'later'): Variant {
  return {
    name,
    what,
    async start() {
      const redis = await startSentinelRedis();
      const thaw = async (): Promise<void> => redis.signal('SIGCONT');
      return {
        redis,
        async strike({ signal }) {
          const faultAt = Date.now();
          redis.signal('SIGSTOP');
          const backAt = await redis.promoted(signal);
          if (thaws === 'at once') await thaw();
          return { faultAt, backAt };
        },
        bringBack: thaws === 'later' ? thaw : nothing,
      };
    },
  };
}

function single(
  name: string,
  what: string,
  begin: (redis: ChaosRedis) => Promise<void>,
  end: (redis: ChaosRedis) => Promise<void>,
): Variant {
  return {
    name,
    what,
    start: async () => ({
      redis: undefined,
      async strike({ fleet: { redis }, signal }, { awayMs }) {
        const faultAt = Date.now();
        await begin(redis);
        await sleep(awayMs, signal);
        await end(redis);
        return { faultAt, backAt: Date.now() };
      },
      bringBack: nothing,
    }),
  };
}

function startModelsOnOneMaster() {
  return startClusterRedis([BACKGROUND, FOREGROUND]);
}

async function killMaster(redis: ReplicatedRedis, { signal }: World): Promise<Strike> {
  const faultAt = Date.now();
  await redis.kill();
  return { faultAt, backAt: await redis.promoted(signal) };
}

/** Kills the master after it took writes without its replica, which is not allowed to connect again. */
async function killLate(redis: ReplicatedRedis, world: World, { lagMs }: StrikeTimes): Promise<Strike> {
  await redis.masterAdmin.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
  const from = Date.now();
  await redis.masterAdmin.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await sleep(lagMs, world.signal);
  const to = Date.now();
  await redis.kill();
  return { faultAt: to, backAt: await redis.promoted(world.signal), unreplicated: { from, to } };
}

async function command({ url }: ChaosRedis, name: string, ...words: string[]): Promise<void> {
  const admin = new Redis(url);
  try {
    await admin.call(name, ...words);
  } finally {
    admin.disconnect();
  }
}
