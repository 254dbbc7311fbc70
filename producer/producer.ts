import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiKey } from '../src/api-key.ts';
import { type Models, modelsOf } from '../src/config-file.ts';
import type { Logger } from '../src/log.ts';
import { oncePerSecond } from '../src/once-per-second.ts';
import { O3Queue } from '../src/queue/o3-queue.ts';
import { SetupError } from '../src/setup-error.ts';
import type { Stoppable } from '../src/shutdown.ts';
import { createApp } from './app.ts';
import { assertGuarded } from './gate.ts';

export interface ProducerOptions extends Models {
  redisUrl: string;
  prefix: string;
  host: string;
  /** 0: any free one. */
  port: number;
  /** What OpenAI signs its webhooks with. Default: they are refused. */
  webhookSecret?: string | undefined;
  /** Whether workers deliver webhooks to callers. Default: requests that ask for one are refused. */
  webhooksOut?: boolean;
  /** Of callers. Default: none, so that it must listen on loopback. */
  keys?: readonly ApiKey[];
  /** Of each key. Default 60,000. */
  requestsPerMinute?: number;
  /** See AppOptions. */
  headersMs?: number;
  logger: Logger;
}

export interface Producer extends Stoppable {
  /** Where it listens. */
  readonly url: string;
}

/**
 * Listens as soon as the promise resolves.
 *
 * @throws {UnguardedError} without keys, elsewhere than on loopback.
 * @throws {ListenError} when the address is taken or not ours.
 */
export async function startProducer({
  redisUrl,
  prefix,
  host,
  port,
  webhookSecret,
  webhooksOut = false,
  keys = [],
  requestsPerMinute = 60_000,
  headersMs,
  logger,
  ...models
}: ProducerOptions): Promise<Producer> {
  assertGuarded({ keys, host });
  if (keys.length === 0)
    logger.warn('O3Q_KEYS is not set: every program and person on this machine may use this instance');
  const onError = oncePerSecond((error) => logger.error({ error: error.message }, 'queue error'));
  const queue = new O3Queue({ redisUrl, prefix, webhooksOut, onError, ...modelsOf(models) });
  const draining = new AbortController();
  const gate = { keys, host, requestsPerMinute };
  const app = createApp({
    queue,
    gate,
    webhookSecret,
    draining: draining.signal,
    ...(headersMs !== undefined && { headersMs }),
    logger,
  });
  const server = createServer(app);
  // A connection that was busy when draining began is kept alive after its answer: nobody else would close it.
  server.on('request', (_request, response) => {
    response.on('close', () => draining.signal.aborted && server.closeIdleConnections());
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (error: unknown) {
    await queue.close();
    throw listenError(error, host, port);
  }
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

/** The address cannot be had. */
export class ListenError extends SetupError {
  override readonly name = 'ListenError';
}

function listenError(error: unknown, host: string, port: number): ListenError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const advice =
    code === 'EADDRINUSE'
      ? `Port ${port} of ${host} is taken, perhaps by another o3-queue. Stop it, or choose another with PORT=${port + 1}`
      : `The producer cannot listen on ${host} port ${port} (${String(code)}). Check HOST and PORT`;
  return new ListenError(advice, { cause: error });
}
