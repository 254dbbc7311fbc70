import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { O3Client } from '../../src/client/o3-client.ts';
import { ADMIN } from '../../src/config/api-keys.ts';
import { type Models, modelsOf, readConfigFile } from '../../src/config/file.ts';
import type { Ack } from '../../src/redis/ack/level.ts';
import { findFreePort } from '../../src/redis/embedded/local-port.ts';
import { openTcpProxy, type TcpProxy } from '../../test/support/redis/tcp-proxy.ts';
import { type Child, startChild } from './child.ts';
import { type ChaosRedis, startChaosRedis } from './redis.ts';
import type { Stage } from './stage.ts';
import { becomes } from './timing.ts';
import { createWiretap, type Wiretap } from './wiretap.ts';

/** FleetProducer is a running producer. */
export interface FleetProducer {
  readonly child: Child;
  readonly url: string;
}

/** FleetWorker is a running worker. */
export interface FleetWorker {
  readonly child: Child;
  /** Where the worker answers `/readyz` and `/metrics`; undefined: nowhere. */
  readonly healthUrl: string | undefined;
  /** The proxies before the upstream and Redis; undefined: the worker connects directly. */
  readonly proxies: WorkerProxies | undefined;
}

interface WorkerProxies {
  readonly upstream: TcpProxy;
  readonly redis: TcpProxy;
}

/** Fleet is a whole instance: Redis, the simulator, producers and workers, each a process of its own. */
export interface Fleet {
  /** The folder of every log and of Redis's data. */
  readonly folder: string;
  readonly redis: ChaosRedis;
  /** The models of producers and workers. */
  readonly models: Models;
  /** The simulator's URL, not through a proxy. */
  readonly upstreamUrl: string;
  /** The URL of the first producer. */
  readonly producerUrl: string;
  readonly producers: readonly FleetProducer[];
  /** A client of the first producer; if there are tenants, the admin's. */
  readonly client: O3Client;
  /** @throws an Error for a tenant that the options do not name. */
  clientOf(tenant: string): O3Client;
  readonly wiretap: Wiretap;
  /** The living workers, oldest first. */
  readonly workers: readonly FleetWorker[];
  /** Starts a worker. If the worker does not start, for example because Redis is away, it tries again. */
  addWorker(): Promise<FleetWorker>;
  /** Sends SIGKILL. The worker leaves `workers` at once. @returns when it was sent, in Unix milliseconds. */
  killWorker(worker: FleetWorker): number;
  /**
   * Sends SIGTERM. @returns the exit code, or null if the worker had to be killed, and how long the stop
   * took.
   */
  stopWorker(worker: FleetWorker): Promise<{ code: number | null; afterMs: number }>;
  /** Sends SIGKILL to the first producer and starts another one on the same port. */
  replaceProducer(): Promise<void>;
}

/** FleetOptions say what a fleet begins with. */
export interface FleetOptions {
  /** How many workers to begin with. */
  workers: number;
  /** Default: one server, with an append-only file. The fleet stops it. */
  redis?: ChaosRedis;
  /** How many producers. Default 1. */
  producers?: number;
  /** Whether the upstream also sends webhooks at the end of responses. Default false. */
  webhooks?: boolean;
  /**
   * Whether workers connect through proxies of this process, which can cut connections and read the traffic.
   * Default false: the proxies take CPU time of this process, which falsifies measurements of milliseconds.
   */
  proxies?: boolean;
  /** Whether workers answer `/readyz` and `/metrics`. Default false. */
  health?: boolean;
  /** The content of o3q.config.json for producers and workers. Default: empty. */
  config?: object;
  /** The tenants, each with an API key. With tenants, calls without a key are refused. Default: no keys. */
  tenants?: readonly string[];
  /** `O3Q_ACK` of producers and workers. Default `memory`. */
  ack?: Ack;
  /** Further variables of the workers' environment. They replace variables that the fleet sets itself. */
  workerEnvironment?: Readonly<Record<string, string>>;
  /** What a worker runs, if it is not the command line: the path of a script, and its arguments. */
  workerScript?: readonly [script: string, ...args: string[]];
  /** Further arguments of the simulator. */
  simulator?: readonly string[];
}

/** How long the fleet tries to start a process while Redis is away, in milliseconds. */
const COME_UP_MS = 60_000;
/** How long a worker may take to exit, in milliseconds. It is longer than the worker's own limit of 10 s. */
const EXIT_LIMIT_MS = 15_000;
/** The simulator's webhook secret. It is public, because it protects nothing. */
const WEBHOOK_SECRET = 'chaos';
/** How many jobs a worker may hold: more than any scenario needs. */
const CONCURRENCY = '4000';

/** keyOf returns the key of a tenant. It protects nothing, but is as long as a real one. */
export function keyOf(tenant: string): string {
  return `chaos-key-of-${tenant}`.padEnd(16, '-');
}

/**
 * startFleet starts all processes. @param closers gets, for each process, a function that ends the process.
 */
export async function startFleet(
  { program, redisServer, signal }: Stage,
  options: FleetOptions,
  folder: string,
  closers: (() => Promise<void>)[],
): Promise<Fleet> {
  const redis = options.redis ?? (await startChaosRedis(redisServer, folder));
  closers.push(redis.stop);
  const wiretap = createWiretap();
  const workers: FleetWorker[] = [];
  let started = 0;

  const start = async (
    args: string[],
    environment: Record<string, string>,
    ready: RegExp,
    name = args[0] ?? '',
    script = program,
  ) => {
    signal.throwIfAborted();
    const { child, said } = await startChild({ name, program: script, args, environment, folder, ready });
    closers.push(async () => {
      child.kill('SIGKILL');
      await child.exited;
    });
    return { child, said };
  };
  const startWithRetries = async (...parameters: Parameters<typeof start>): ReturnType<typeof start> => {
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
    [
      'simulator',
      '--paid',
      '--port',
      '0',
      ...(options.webhooks ? webhooks : []),
      ...(options.simulator ?? []),
    ],
    {},
    /simulator ready on (http:\S+)/,
  );
  const configPath = join(folder, 'o3q.config.json');
  await writeFile(configPath, JSON.stringify(options.config ?? {}));
  const callers = options.tenants === undefined ? [] : [ADMIN, ...options.tenants];
  const common = {
    REDIS_URL: redis.url,
    O3Q_CONFIG: configPath,
    O3Q_ACK: options.ack ?? 'memory',
    ...(options.webhooks && { OPENAI_WEBHOOK_SECRET: WEBHOOK_SECRET }),
  };
  const startProducer = async (port: number, name: string): Promise<FleetProducer> => {
    const keys = callers.map((caller) => `${caller}:${keyOf(caller)}`).join(',');
    const environment = { ...common, PORT: String(port), O3Q_KEYS: keys };
    const { child, said } = await startWithRetries(
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

  const openProxies = async (name: string): Promise<WorkerProxies> => {
    const proxies = {
      upstream: await openTcpProxy(simulator.said),
      redis: await openTcpProxy(redis.url, wiretap.on(name)),
    };
    closers.push(proxies.upstream.close, proxies.redis.close);
    return proxies;
  };
  const forget = (worker: FleetWorker): void => {
    workers.splice(workers.indexOf(worker), 1);
    void worker.child.exited.then(() =>
      Promise.all([worker.proxies?.upstream.close(), worker.proxies?.redis.close()]),
    );
  };
  const fleet: Fleet = {
    folder,
    redis,
    models: modelsIn(configPath),
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
      const proxies = options.proxies ? await openProxies(name) : undefined;
      const healthPort = options.health ? String(await findFreePort()) : undefined;
      const environment = {
        ...common,
        REDIS_URL: proxies?.redis.url ?? redis.url,
        OPENAI_BASE_URL: proxies?.upstream.url ?? simulator.said,
        O3Q_CONCURRENCY: CONCURRENCY,
        ...(healthPort !== undefined && { O3Q_WORKER_PORT: healthPort }),
        ...options.workerEnvironment,
      };
      const [script, ...args] = options.workerScript ?? [program, 'worker'];
      const { child } = await startWithRetries(args, environment, /worker ready/, name, script);
      const healthUrl = healthPort === undefined ? undefined : `http://127.0.0.1:${healthPort}`;
      const worker = { child, healthUrl, proxies };
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

function modelsIn(configPath: string): Models {
  const config = readConfigFile(configPath);
  if ('flaws' in config) throw new Error(JSON.stringify(config.flaws));
  return modelsOf(config);
}
