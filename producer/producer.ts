import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cachedRead } from '../src/async/cached-read.ts';
import { throttledErrors } from '../src/async/throttled-errors.ts';
import type { ApiKey } from '../src/config/api-keys.ts';
import { defaultHttp, type HttpConfig, type Models } from '../src/config/file.ts';
import type { UpstreamAddress } from '../src/config/upstream-address.ts';
import type { ProcessMetrics } from '../src/metrics/process-metrics.ts';
import { createHttpServer } from '../src/process/http-server.ts';
import type { Logger } from '../src/process/log.ts';
import type { Stoppable } from '../src/process/shutdown.ts';
import { InstanceQueue } from '../src/queue/instance-queue.ts';
import type { Ack } from '../src/redis/ack/level.ts';
import { createWeakAckLog } from '../src/redis/ack/weak-ack-log.ts';
import { assertKeysOrLoopback, warnOfKeys } from './access/access.ts';
import { type AppSettings, createApp } from './app.ts';
import { listen } from './http/listening.ts';
import { createProducerMetrics } from './metrics/producer-metrics.ts';

/** ProducerSettings are the part of the configuration that a producer needs. */
export interface ProducerSettings extends Models {
  /** The callers' keys. Default: none, so that the producer must listen on loopback. */
  readonly keys?: readonly ApiKey[];
  /** How callers reach the producer, and what they may send. Default: as without a file. */
  readonly http?: HttpConfig;
}

export interface ProducerOptions {
  /** They may change while the producer runs: each field is read when it is needed. */
  settings: ProducerSettings;
  redisUrl: string;
  prefix: string;
  host: string;
  /** 0: any free port. */
  port: number;
  /** Verifies OpenAI's webhooks. Default: they are refused. */
  webhookSecret?: string | undefined;
  /** Whether workers deliver webhooks to callers. Default false: requests that ask for one are refused. */
  webhooksOut?: boolean;
  /** See O3QueueOptions. Default `memory`. */
  ack?: Ack;
  /** See AppOptions. */
  headersMs?: number;
  /** See MountOptions. */
  keepAliveMs?: number;
  /** See AppOptions. */
  upstream?: UpstreamAddress | undefined;
  /** See AppOptions. */
  troubles?: () => string[];
  /** The metrics of the process, to which the producer adds its own. Default: the producer's alone. */
  metrics?: ProcessMetrics;
  logger: Logger;
}

export interface Producer extends Stoppable {
  /** The URL on which the producer listens. */
  readonly url: string;
}

/** How old what all processes share may be in a scrape, in milliseconds. */
const READINGS_FRESH_MS = 1000;

/**
 * startProducer starts a producer, which listens when the promise resolves.
 *
 * @throws {KeysRequiredError} when it has no keys and would listen elsewhere than on loopback.
 * @throws {ListenError} when it cannot listen on the address.
 */
export async function startProducer(options: ProducerOptions): Promise<Producer> {
  const { host, port, settings, logger } = options;
  const { keys = [], tenants } = settings;
  assertKeysOrLoopback({ keys, host });
  warnOfKeys({ keys, tenants }, logger);
  // The address comes first: a producer that cannot listen should not connect to Redis.
  const server = createHttpServer();
  await listen(server, host, port);
  try {
    return producerOn(server, options);
  } catch (error: unknown) {
    server.close();
    throw error;
  }
}

function producerOn(
  server: Server,
  {
    settings,
    redisUrl,
    prefix,
    host,
    webhookSecret,
    webhooksOut = false,
    ack = 'memory',
    headersMs,
    keepAliveMs,
    upstream,
    troubles,
    metrics: shared,
    logger,
  }: ProducerOptions,
): Producer {
  const onError = throttledErrors((error) => logger.error({ error: error.message }, 'queue error'));
  const metrics = createProducerMetrics(Object.keys(settings.models), shared);
  const logWeakAck = createWeakAckLog(ack, logger);
  const queue = new InstanceQueue({
    ...{ redisUrl, prefix, webhooksOut, ack, onError, settings },
    onWeakAck(reason) {
      logWeakAck(reason);
      metrics.weakAck();
    },
    onCancelled: metrics.cancelled,
  });
  metrics.watchRedis(() => queue.redisTrouble());
  metrics.watch({ models: lately(() => queue.snapshot()), memory: lately(() => queue.memory()) });
  queue.driveActions(onError);
  const draining = new AbortController();
  const withoutFile = defaultHttp();
  const appSettings: AppSettings = {
    get tenants() {
      return settings.tenants;
    },
    get keys() {
      return settings.keys ?? [];
    },
    get http() {
      return settings.http ?? withoutFile;
    },
  };
  const app = createApp({
    queue,
    settings: appSettings,
    host,
    webhookSecret,
    draining: draining.signal,
    ...(headersMs !== undefined && { headersMs }),
    ...(keepAliveMs !== undefined && { keepAliveMs }),
    ...(upstream !== undefined && { upstream }),
    ...(troubles !== undefined && { troubles }),
    metrics,
    logger,
  });
  server.on('request', metrics.measure);
  server.on('request', app);
  // A connection that was busy when draining began stays open after its answer: nothing else would close it.
  server.on('request', (_request, response) => {
    response.on('close', () => draining.signal.aborted && server.closeIdleConnections());
  });
  let closed: Promise<void> = Promise.resolve();
  return {
    name: 'producer',
    url: urlOf(host, (server.address() as AddressInfo).port),
    quiet() {
      draining.abort();
      closed = new Promise((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
    },
    drain: () => closed,
    release: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections();
      await closed;
      await queue.close();
    },
  };
}

/** lately reads at most once in a second what a scrape needs; undefined while Redis cannot be read. */
function lately<Reading>(read: () => Promise<Reading>): () => Promise<Reading | undefined> {
  return cachedRead(() => read().catch(() => undefined), READINGS_FRESH_MS);
}

function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
