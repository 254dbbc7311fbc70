import type { ConnectionOptions } from 'node:tls';
import { Redis } from 'ioredis';
import type { HostAndPort } from '../url.ts';

/**
 * How long a sentinel may take to answer, in milliseconds. After that its connection is cut, and no question
 * waits for this sentinel until it answers again.
 */
const ANSWER_MS = 1000;
const CONNECT_AGAIN_MS = 500;

/** The events of a failover: it begins, it has promoted a server, it is given up. */
const EVENTS = ['+try-failover', '+switch-master', '-failover-abort-*'] as const;

/** Opinion is the answer of one sentinel to the question which server is the master. */
export interface Opinion {
  readonly master: HostAndPort;
  /** The number of the failover that made this server the master. A higher number is newer. */
  readonly configEpoch: number;
  /** Whether this sentinel does a failover and has not learned yet that its server was promoted. */
  readonly isFailingOver: boolean;
  /** The other sentinels that this one knows. */
  readonly others: readonly HostAndPort[];
}

/** Sentinel is a connection to one sentinel. */
export interface Sentinel {
  /** Whether the sentinel has answered the last question, or has not been asked yet. */
  readonly isHealthy: boolean;
  /** The reason why the sentinel gave no opinion the last time. */
  readonly lastError: Error | undefined;
  /** Resolves to undefined after a second at most, if the sentinel gives no opinion. */
  ask(): Promise<Opinion | undefined>;
  close(): void;
}

/** SentinelOptions say which master a sentinel is asked about. */
export interface SentinelOptions {
  readonly masterName: string;
  /** The TLS options for a connection to this sentinel. Default: no TLS. */
  readonly tls: ConnectionOptions | undefined;
  /** Called when a failover of this master begins or ends (`EVENTS`). */
  readonly onEvent: () => void;
}

/** connectSentinel connects to one sentinel and keeps the connection until it is closed. */
export function connectSentinel(
  { host, port }: HostAndPort,
  { masterName, tls, onEvent }: SentinelOptions,
): Sentinel {
  const client = new Redis({
    host,
    port,
    ...(tls !== undefined && { tls }),
    enableReadyCheck: false,
    connectTimeout: ANSWER_MS,
    commandTimeout: ANSWER_MS,
    disconnectTimeout: 0,
    maxRetriesPerRequest: 0,
    retryStrategy: () => CONNECT_AGAIN_MS,
  });
  let isHealthy = true;
  let lastError: Error | undefined;
  client.on('error', (error: Error) => {
    lastError = error;
  });
  client.on('close', () => {
    isHealthy = false;
  });
  client.on('pmessage', (_pattern: string, event: string, message: string) => {
    // Messages begin `master NAME HOST PORT`, but those of +switch-master begin with the name.
    if (message.split(' ')[event === '+switch-master' ? 0 : 1] === masterName) onEvent();
  });
  // ioredis subscribes again by itself after each reconnect.
  client.psubscribe(...EVENTS).catch(() => {});

  return {
    get isHealthy() {
      return isHealthy;
    },
    get lastError() {
      return lastError;
    },
    async ask() {
      try {
        // The epoch is read before the address: if a failover ends in between, the new address has the old
        // epoch. The other order could give the new epoch to the old master.
        const [master, address, others] = await Promise.all([
          client.call('SENTINEL', 'MASTER', masterName),
          client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName),
          client.call('SENTINEL', 'SENTINELS', masterName),
        ]);
        isHealthy = true;
        return opinionFrom(master, address, others);
      } catch (error: unknown) {
        // ioredis's own error for a refused connection does not say why; the 'error' event does.
        if (error instanceof Error && error.name !== 'MaxRetriesPerRequestError') lastError = error;
        isHealthy = false;
        if (client.status === 'ready' || client.status === 'connect') client.disconnect(true);
        return undefined;
      }
    },
    close: () => client.disconnect(),
  };
}

function opinionFrom(state: unknown, address: unknown, others: unknown): Opinion | undefined {
  const fields = fieldsOf(state);
  const configEpoch = Number(fields.get('config-epoch'));
  if (!Array.isArray(address) || !Number.isSafeInteger(configEpoch)) return undefined;
  const master = { host: String(address[0]), port: Number(address[1]) };
  // While a promoted server waits for its replicas, the state still has the address of the old master.
  const isPromoted = fields.get('ip') !== master.host || Number(fields.get('port')) !== master.port;
  return {
    master,
    configEpoch,
    isFailingOver: !isPromoted && (fields.get('flags') ?? '').includes('failover_in_progress'),
    others: (Array.isArray(others) ? others : [])
      .map(fieldsOf)
      .filter((other) => !other.get('flags')?.includes('disconnected'))
      .map((other) => ({ host: other.get('ip') ?? '', port: Number(other.get('port')) }))
      .filter(({ host, port }) => host !== '' && port > 0),
  };
}

/** Reads a reply of Redis of the form `name, value, name, value, …`. */
function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const pairs = Array.isArray(reply) ? reply.map(String) : [];
  return new Map(pairs.flatMap((name, i) => (i % 2 === 0 ? [[name, pairs[i + 1] ?? '']] : [])));
}
