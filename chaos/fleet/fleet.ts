import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { O3Client } from '../../src/client/o3-client.ts';
import { ADMIN } from '../../src/config/api-keys.ts';
import { findFreePort } from '../../src/redis/embedded/local-port.ts';
import { openTcpProxy, type TcpProxy } from '../../test/support/redis/tcp-proxy.ts';
import type { Stage } from '../scenario.ts';
import { type Child, startChild } from './child.ts';
import { type ChaosRedis, startChaosRedis } from './redis.ts';
import { becomes } from './timing.ts';
import { createWiretap, type Wiretap } from './wiretap.ts';

export interface FleetProducer {
  readonly child: Child;
  readonly url: string;
}

export interface FleetWorker {
  readonly child: Child;
  /** Its ways to the upstream and to Redis; undefined: it goes straight. */
  readonly ways: Ways | undefined;
}

interface Ways {
  readonly upstream: TcpProxy;
  readonly redis: TcpProxy;
}

/** A whole instance, every part a process of its own. */
export interface Fleet {
  /** Of every log, and of Redis's data. */
  readonly folder: string;
  readonly redis: ChaosRedis;
  /** The simulator, by no proxy. */
  readonly upstreamUrl: string;
  /** Of the first producer. */
  readonly producerUrl: string;
  readonly producers: readonly FleetProducer[];
  /** Everybody's: where there are tenants, the admin. */
  readonly client: O3Client;
  /** @throws for one that the options do not name. */
  clientOf(tenant: string): O3Client;
  readonly wiretap: Wiretap;
  /** Those that live, oldest first. */
  readonly workers: readonly FleetWorker[];
  /** Starts one; tries again while it does not come up, since Redis may be away. */
  addWorker(): Promise<FleetWorker>;
  /** SIGKILL. It is no longer one of `workers` from this instant on. @returns when, in Unix milliseconds. */
  killWorker(worker: FleetWorker): number;
  /** SIGTERM. @returns its exit code and how long it took; null: it had to be killed. */
  stopWorker(worker: FleetWorker): Promise<{ code: number | null; afterMs: number }>;
  /** SIGKILL to the first one, and another one on the same port. */
  replaceProducer(): Promise<void>;
}

export interface FleetOptions {
  /** How many to begin with. */
  workers: number;
  /** Default 1. */
  producers?: number;
  /** Whether the upstream tells the ends of responses by webhooks, too. */
  webhooks: boolean;
  /** Whether workers go through proxies of ours, that can be cut and listen: they take time of this process, which would show in milliseconds. */
  proxies: boolean;
  /** What o3q.config.json says, for producers and workers. Default: nothing. */
  config?: object;
  /** Each has a key of its own, and then nobody is let in without one. Default: no keys. */
  tenants?: readonly string[];
  /** Further arguments of the simulator. */
  simulator?: readonly string[];
}

/** How long a process is tried to be started while Redis is away. */
const COME_UP_MS = 60_000;
/** Longer than the worker's own deadline of 10 s. */
const EXIT_LIMIT_MS = 15_000;
/** No secret at all: the simulator's. */
const WEBHOOK_SECRET = 'chaos';
/** More than any scenario holds in one worker. */
const CONCURRENCY = '4000';

/** No secret at all, but as long as one. */
function keyOf(tenant: string): string {
  return `chaos-key-of-${tenant}`.padEnd(16, '-');
}

/** Runs a scenario on a fleet of its own, and stops every process of it, however it ends. Logs stay unless it is `clean`. */
export async function withFleet<Output>(
  stage: Stage,
  options: FleetOptions,
  run: (fleet: Fleet) => Promise<Output>,
  isClean: (output: Output) => boolean,
): Promise<Output> {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-chaos-'));
  const closers: (() => Promise<void>)[] = [];
  let clean = false;
  // Everybody who waits for anything listens to it.
  setMaxListeners(0, stage.signal);
  try {
    const output = await run(await startFleet(stage, options, folder, closers));
    clean = isClean(output);
    return output;
  } finally {
    await Promise.allSettled(closers.splice(0).map((close) => close()));
    stage.say(`All processes stopped. ${clean ? '' : `Logs: ${folder}`}`.trim());
    if (clean) await rm(folder, { recursive: true, force: true });
  }
}

async function startFleet(
  { program, redisServer, signal }: Stage,
  options: FleetOptions,
  folder: string,
  closers: (() => Promise<void>)[],
): Promise<Fleet> {
  const redis = await startChaosRedis(redisServer, folder);
  closers.push(redis.stop);
  const wiretap = createWiretap();
  const workers: FleetWorker[] = [];
  let started = 0;

  const start = async (
    args: string[],
    environment: Record<string, string>,
    ready: RegExp,
    name = args[0] ?? '',
  ) => {
    signal.throwIfAborted();
    const { child, said } = await startChild({ name, program, args, environment, folder, ready });
    closers.push(async () => {
      child.kill('SIGKILL');
      await child.exited;
    });
    return { child, said };
  };
  const startSomehow = async (...parameters: Parameters<typeof start>): ReturnType<typeof start> => {
    let result: Awaited<ReturnType<typeof start>> | undefined;
    let reason: unknown;
    const tried = async (): Promise<boolean> => {
      result = await start(...parameters).catch((error: unknown) => {
        reason = error;
        return undefined;
      });
      return result !== undefined;
    };
    await becomes(tried, COME_UP_MS, signal);
    if (result === undefined) throw reason;
    return result;
  };

  const producerPort = await findFreePort();
  const webhooks = [
    '--webhook-url',
    `http://127.0.0.1:${producerPort}/webhooks/openai`,
    '--webhook-secret',
    WEBHOOK_SECRET,
  ];
  const simulator = await start(
    ['simulator', '--port', '0', ...(options.webhooks ? webhooks : []), ...(options.simulator ?? [])],
    {},
    /simulator ready on (http:\S+)/,
  );
  const configPath = join(folder, 'o3q.config.json');
  await writeFile(configPath, JSON.stringify(options.config ?? {}));
  const callers = options.tenants === undefined ? [] : [ADMIN, ...options.tenants];
  const common = {
    REDIS_URL: redis.url,
    O3Q_CONFIG: configPath,
    ...(options.webhooks && { OPENAI_WEBHOOK_SECRET: WEBHOOK_SECRET }),
  };
  const startProducer = async (port: number, name: string): Promise<FleetProducer> => {
    const keys = callers.map((caller) => `${caller}:${keyOf(caller)}`).join(',');
    const environment = { ...common, PORT: String(port), O3Q_KEYS: keys };
    const { child, said } = await startSomehow(
      ['producer'],
      environment,
      /producer ready on (http:\S+)/,
      name,
    );
    return { child, url: said };
  };
  const producer = await startProducer(producerPort, 'producer');
  const producers = [producer];
  for (let i = 2; i <= (options.producers ?? 1); i += 1) {
    producers.push(await startProducer(await findFreePort(), `producer-${i}`));
  }

  const openWays = async (name: string): Promise<Ways> => {
    const ways = {
      upstream: await openTcpProxy(simulator.said),
      redis: await openTcpProxy(redis.url, wiretap.on(name)),
    };
    closers.push(ways.upstream.close, ways.redis.close);
    return ways;
  };
  const forget = (worker: FleetWorker): void => {
    workers.splice(workers.indexOf(worker), 1);
    void worker.child.exited.then(() =>
      Promise.all([worker.ways?.upstream.close(), worker.ways?.redis.close()]),
    );
  };
  const fleet: Fleet = {
    folder,
    redis,
    upstreamUrl: simulator.said,
    producerUrl: producer.url,
    producers,
    client: new O3Client({ url: producer.url, ...(callers.length > 0 && { apiKey: keyOf(ADMIN) }) }),
    clientOf(tenant) {
      if (!callers.includes(tenant)) throw new Error(`expected one of ${callers.join(', ')}, got ${tenant}`);
      return new O3Client({ url: producer.url, apiKey: keyOf(tenant) });
    },
    wiretap,
    workers,
    async addWorker() {
      started += 1;
      const name = `worker-${started}`;
      const ways = options.proxies ? await openWays(name) : undefined;
      const environment = {
        ...common,
        REDIS_URL: ways?.redis.url ?? redis.url,
        OPENAI_BASE_URL: ways?.upstream.url ?? simulator.said,
        O3Q_CONCURRENCY: CONCURRENCY,
      };
      const { child } = await startSomehow(['worker'], environment, /worker ready/, name);
      const worker = { child, ways };
      workers.push(worker);
      return worker;
    },
    killWorker(worker) {
      worker.child.kill('SIGKILL');
      forget(worker);
      return Date.now();
    },
    async stopWorker(worker) {
      const signalledAt = Date.now();
      worker.child.kill('SIGTERM');
      forget(worker);
      const timer = setTimeout(() => worker.child.kill('SIGKILL'), EXIT_LIMIT_MS);
      const { code, at } = await worker.child.exited;
      clearTimeout(timer);
      return { code, afterMs: at - signalledAt };
    },
    async replaceProducer() {
      const [old = producer] = producers;
      old.child.kill('SIGKILL');
      await old.child.exited;
      producers[0] = await startProducer(producerPort, 'producer');
    },
  };
  await Promise.all(Array.from({ length: options.workers }, () => fleet.addWorker()));
  return fleet;
}
