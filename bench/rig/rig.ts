import { setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { type Child, startChild } from '../../chaos/fleet/child.ts';
import { type Fleet, type FleetOptions, startFleet } from '../../chaos/fleet/fleet.ts';
import type { Stage } from '../../chaos/fleet/stage.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { SIDES, type Side, type SideName } from './side.ts';

/** Rig is one Redis and one simulator with both programs on them. */
export interface Rig {
  readonly fleet: Fleet;
  readonly redis: Redis;
  readonly sides: Readonly<Record<SideName, Side>>;
  /** The folder of every log and of Redis's data. */
  readonly folder: string;
}

/** RigOptions say which processes a rig has, besides a producer of each side. */
export interface RigOptions {
  /** How many workers each side has. Default 0. */
  workers?: number;
  /** How many jobs a worker holds at most. Default 100. */
  concurrency?: number;
  /** Whether the heap of workers can be measured (see heapOf). Default false. */
  inspectable?: boolean;
  /** How long the simulator takes for an answer, in milliseconds. Default 0. */
  thinkMs?: number;
  /** The content of o3q.config.json. Default: empty. */
  config?: FleetOptions['config'];
}

/** OUR_MODEL is the model of all jobs of o3-queue. */
export const OUR_MODEL = 'o3';
export const OUR_PREFIX = 'o3q';
/** The compiled bare program. `npm run bench` compiles it. */
const BARE_PROGRAM = '.cache/bench/bench/bare/bare.js';
const BARE_QUEUE = 'bull:bare';

/**
 * withRig starts the processes, calls `measure`, and stops the processes in any case. It keeps the logs only
 * if `measure` fails.
 */
export async function withRig(
  stage: Stage,
  { workers = 0, concurrency = 100, inspectable = false, thinkMs = 0, config }: RigOptions,
  measure: (rig: Rig) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-bench-'));
  const closers: (() => Promise<void>)[] = [];
  setMaxListeners(0, stage.signal);
  let isMeasured = false;
  const nodeOptions = { ...(inspectable && { NODE_OPTIONS: '--inspect=127.0.0.1:0' }) };
  try {
    const fleet = await startFleet(
      stage,
      {
        workers: 0,
        simulator: ['--think-ms', String(thinkMs)],
        workerEnvironment: { ...nodeOptions, O3Q_CONCURRENCY: String(concurrency) },
        ...(config !== undefined && { config }),
      },
      folder,
      closers,
    );
    const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
    if (!(redis instanceof Redis)) throw new Error('expected a single Redis, got a cluster');
    closers.push(async () => redis.disconnect());

    const startBare = async (name: string, args: string[], environment: Record<string, string>) => {
      stage.signal.throwIfAborted();
      const program = resolve(BARE_PROGRAM);
      const ready = /bare (?:producer ready on (http:\S+)|worker ready)/;
      const started = await startChild({ name, program, args, environment, folder, ready });
      closers.push(() => ended(started.child));
      return started;
    };
    const bareProducer = await startBare('bare-producer', ['producer', fleet.redis.url], {});
    const bareWorkers: Child[] = [];
    let bareStarted = 0;
    const bare: Side = {
      name: 'bare',
      url: bareProducer.said,
      producer: bareProducer.child,
      workers: bareWorkers,
      finished: { completed: `${BARE_QUEUE}:completed`, failed: `${BARE_QUEUE}:failed` },
      jobKey: (id) => `${BARE_QUEUE}:${id}`,
      async addWorker() {
        bareStarted += 1;
        const args = ['worker', fleet.redis.url, fleet.upstreamUrl, String(concurrency)];
        const { child } = await startBare(`bare-worker-${bareStarted}`, args, nodeOptions);
        bareWorkers.push(child);
        return child;
      },
    };
    const [producer] = fleet.producers;
    if (producer === undefined) throw new Error('expected a producer');
    const keys = keysOf(OUR_PREFIX, OUR_MODEL);
    const ours: Side = {
      name: 'ours',
      url: producer.url,
      producer: producer.child,
      get workers() {
        return fleet.workers.map(({ child }) => child);
      },
      finished: { completed: keys.queue('completed'), failed: keys.queue('failed') },
      jobKey: keys.job,
      addWorker: async () => (await fleet.addWorker()).child,
    };
    const sides = { bare, ours };
    for (let i = 0; i < workers; i += 1) for (const side of SIDES) await sides[side].addWorker();
    await measure({ fleet, redis, sides, folder });
    isMeasured = true;
  } finally {
    await Promise.allSettled(closers.splice(0).map((close) => close()));
    if (isMeasured || stage.signal.aborted) await rm(folder, { recursive: true, force: true });
    else stage.say(`The logs are in ${folder}`);
  }
}

async function ended(child: Child): Promise<void> {
  child.kill('SIGKILL');
  await child.exited;
}
