import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { throttledErrors } from '../src/async/throttled-errors.ts';
import type { ApiKey } from '../src/config/api-keys.ts';
import { defaultHttp, type HttpConfig, type Models, modelsOf } from '../src/config/file.ts';
import type { UpstreamAddress } from '../src/config/upstream-address.ts';
import { createHttpServer } from '../src/process/http-server.ts';
import type { Logger } from '../src/process/log.ts';
import type { Stoppable } from '../src/process/shutdown.ts';
import { InstanceQueue } from '../src/queue/instance-queue.ts';
import type { Ack } from '../src/redis/ack/level.ts';
import { createWeakAckLog } from '../src/redis/ack/weak-ack-log.ts';
import { assertKeysOrLoopback } from './access/access.ts';
import { createApp } from './app.ts';
import { listen } from './http/listening.ts';

export interface ProducerOptions extends Models {
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
  /** The callers' keys. Default: none, so that the producer must listen on loopback. */
  keys?: readonly ApiKey[];
  /** How callers reach the producer, and what they may send. Default: as without a file. */
  http?: Partial<HttpConfig>;
  /** See AppOptions. */
  headersMs?: number;
  /** See MountOptions. */
  keepAliveMs?: number;
  /** See AppOptions. */
  upstream?: UpstreamAddress | undefined;
  logger: Logger;
}

export interface Producer extends Stoppable {
  /** The URL on which the producer listens. */
  readonly url: string;
}

/**
 * startProducer starts a producer, which listens when the promise resolves.
 *
 * @throws {KeysRequiredError} when it has no keys and would listen elsewhere than on loopback.
 * @throws {ListenError} when it cannot listen on the address.
 */
export async function startProducer(options: ProducerOptions): Promise<Producer> {
  const { host, port, keys = [], logger } = options;
  assertKeysOrLoopback({ keys, host });
  if (keys.length === 0)
    logger.warn('O3Q_KEYS is not set: every program on this machine may use this instance');
  const keyless = Object.keys(options.tenants ?? {}).filter((name) => !keys.some((key) => key.name === name));
  if (keys.length > 0 && keyless.length > 0)
    logger.warn({ tenants: keyless }, 'tenants of o3q.config.json that have no key');
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
    redisUrl,
    prefix,
    host,
    webhookSecret,
    webhooksOut = false,
    ack = 'memory',
    keys = [],
    http,
    headersMs,
    keepAliveMs,
    upstream,
    logger,
    ...models
  }: ProducerOptions,
): Producer {
  const onError = throttledErrors((error) => logger.error({ error: error.message }, 'queue error'));
  const onWeakAck = createWeakAckLog(ack, logger);
  const queue = new InstanceQueue({
    ...{ redisUrl, prefix, webhooksOut, ack, onWeakAck, onError },
    ...modelsOf(models),
  });
  queue.driveActions(onError);
  const draining = new AbortController();
  const { requestsPerMinute, basePath, maxBodyMb, corsOrigins, trustProxy } = { ...defaultHttp(), ...http };
  const access = { keys, host, requestsPerMinute, logger };
  const app = createApp({
    queue,
    access,
    basePath: basePath.replace(/\/$/, ''),
    corsOrigins,
    trustProxy,
    tenants: models.tenants,
    webhookSecret,
    draining: draining.signal,
    ...(headersMs !== undefined && { headersMs }),
    ...(keepAliveMs !== undefined && { keepAliveMs }),
    maxBodyMb,
    ...(upstream !== undefined && { upstream }),
    logger,
  });
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

function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
