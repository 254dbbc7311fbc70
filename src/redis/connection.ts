import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { throttledErrors } from '../async/throttled-errors.ts';
import { outsideTraces } from '../tracing/span-context.ts';
import { keepHeartbeat } from './heartbeat.ts';
import { holdRefusedCommands } from './held-commands.ts';
import { isReadOnlyRefusal, isRefusedSelect } from './refusal.ts';
import { sentinelConnector } from './sentinel/connector.ts';
import { watchMaster } from './sentinel/master-watch.ts';
import { type HostAndPort, parseRedisUrl, type RedisAddress } from './url.ts';

/** RedisClient is a connection for our own commands and for BullMQ's. */
export type RedisClient = Redis | Cluster;

/**
 * RedisRole says what happens to a command while Redis is away or refuses it (`isRedisRefusal`).
 *
 * - `fail-fast` (producer, CLI, library): it fails at once, so that a caller gets its 503 in milliseconds.
 *   Before the first command, the code that connects must wait for `ready` (see assertRedisUsable), because
 *   no command is queued.
 * - `patient` (worker): it waits for Redis without a limit, as BullMQ requires of a worker's connection. No
 *   attempt of a job is counted and no job fails because Redis is away.
 */
export type RedisRole = 'fail-fast' | 'patient';

/** ConnectRedisOptions configure one connection. */
export type ConnectRedisOptions = {
  /**
   * Called with the errors of lost and refused connections, and of refused commands of a patient client. It
   * is called once a second at most, because ioredis repeats such errors without a limit.
   */
  readonly onError: (error: Error) => void;
  /** Whether the client subscribes to channels. Default false. */
  readonly listens?: boolean;
  /** The connection's name in `CLIENT LIST`. Default: none. */
  readonly name?: string;
  /** How long a fail-fast client waits for the answer to a command, in milliseconds. Default 2000. */
  readonly answerMs?: number;
};

/**
 * connectRedis starts to connect and returns at once. The caller ends the connection with disconnectRedis.
 *
 * @throws {RedisUnavailableError} when the URL is malformed.
 */
export function connectRedis(url: string, role: RedisRole, options: ConnectRedisOptions): RedisClient {
  // The first call that needs a connection makes it. Its trace must not get all that the connection does later.
  return outsideTraces(() => connectedClient(url, role, options));
}

function connectedClient(url: string, role: RedisRole, options: ConnectRedisOptions): RedisClient {
  const client = createClient(url, role, options);
  const onError = throttledErrors(options.onError);
  client.on('error', (error: Error) => {
    if (client instanceof Redis && isRefusedSelect(error)) client.disconnect(true);
    onError(error);
  });
  keepHeartbeat(client, { listens: options.listens ?? false }, onError);
  if (role === 'patient') holdRefusedCommands(client, onError);
  return client;
}

/**
 * disconnectRedis ends a connection and fails the commands that wait for it. ioredis alone would leave these
 * commands waiting if the client is closed between two tries to connect.
 */
export function disconnectRedis(client: RedisClient): void {
  if (client.status === 'reconnecting') client.connect().catch(() => {});
  client.disconnect();
}

function createClient(
  url: string,
  role: RedisRole,
  { name, answerMs = ANSWER_MS }: ConnectRedisOptions,
): RedisClient {
  const address = parseRedisUrl(url);
  const behaviour = behaviourOf(role, answerMs);
  const common = { ...behaviour.node, ...(name !== undefined && { connectionName: name }) };
  switch (address.kind) {
    case 'single':
      return new Redis({
        ...common,
        ...behaviour.client,
        ...address.credentials,
        ...address.server,
        db: address.database,
        reconnectOnError: reconnectToMaster(),
        ...(address.tls && { tls: tlsFor(address.server) }),
      });
    case 'sentinel':
      return sentinelClientFrom(address, common, behaviour.client);
    case 'cluster':
      return clusterFrom(address, common, behaviour.client);
    default:
      return neverAddress(address);
  }
}

const RECONNECT_EVERY_MS = 1000;

/**
 * reconnectToMaster returns the ioredis option that connects again when the server turns out to be a replica.
 * After a failover the old master may continue as a replica and keep its connections. The refused command
 * fails, and a patient client sends it again.
 */
function reconnectToMaster(): (error: Error) => boolean {
  let lastAt = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (!isReadOnlyRefusal(error) || performance.now() - lastAt < RECONNECT_EVERY_MS) return false;
    lastAt = performance.now();
    return true;
  };
}

/**
 * How long ioredis keeps the process alive after disconnect() when there is no connection or Redis hangs, in
 * milliseconds. ioredis's own default is 2 s. A CLI command must end right after it has printed that Redis is
 * down, and a worker right after it has released its jobs.
 */
const DISCONNECT_TIMEOUT_MS = 200;

/**
 * How long a server may take to accept a connection, in milliseconds. If the route to the server is lost, no
 * connection is accepted.
 */
const CONNECT_TIMEOUT_MS = 2000;

/**
 * Behaviour has the options of the whole client and those of each of its connections: a cluster takes them in
 * two places.
 */
type Behaviour = {
  readonly client: {
    readonly enableOfflineQueue: boolean;
    readonly retryStrategy: (times: number) => number;
  };
  readonly node: Pick<
    RedisOptions,
    'maxRetriesPerRequest' | 'commandTimeout' | 'connectTimeout' | 'disconnectTimeout'
  >;
};

/** How long a fail-fast client waits for the answer to a command by default, in milliseconds. */
const ANSWER_MS = 2000;

function behaviourOf(role: RedisRole, answerMs: number): Behaviour {
  switch (role) {
    case 'fail-fast':
      return {
        client: { enableOfflineQueue: false, retryStrategy: (times) => Math.min(50 * times, 500) },
        node: {
          maxRetriesPerRequest: 1,
          commandTimeout: answerMs,
          connectTimeout: CONNECT_TIMEOUT_MS,
          disconnectTimeout: DISCONNECT_TIMEOUT_MS,
        },
      };
    case 'patient':
      return {
        client: {
          enableOfflineQueue: true,
          // The wait between two tries is at most a second. With BullMQ's waits of up to 20 s, locks would
          // expire after a short outage.
          retryStrategy: (times) => Math.min(100 * 2 ** Math.min(times, 4), 1000),
        },
        node: {
          maxRetriesPerRequest: null,
          connectTimeout: CONNECT_TIMEOUT_MS,
          disconnectTimeout: DISCONNECT_TIMEOUT_MS,
        },
      };
    default:
      return neverRole(role);
  }
}

function sentinelClientFrom(
  { sentinels, masterName, tls, database, credentials }: RedisAddress & { kind: 'sentinel' },
  node: Behaviour['node'],
  client: Behaviour['client'],
): Redis {
  const options = tls ? tlsFor : () => undefined;
  const watch = watchMaster(sentinels, masterName, options);
  const redis = new Redis({
    ...node,
    ...client,
    ...credentials,
    db: database,
    reconnectOnError: reconnectToMaster(),
    Connector: sentinelConnector(watch, {
      retryStrategy: client.retryStrategy,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      tlsFor: options,
    }),
    // ioredis waits for the end of the TLS handshake only if it finds this option.
    ...(tls && { tls: {} }),
  });
  redis.once('end', () => watch.close());
  return redis;
}

function clusterFrom(
  { nodes, tls, credentials }: RedisAddress & { kind: 'cluster' },
  node: Behaviour['node'],
  client: Behaviour['client'],
): Cluster {
  const cluster = new Cluster([...nodes], {
    enableOfflineQueue: client.enableOfflineQueue,
    clusterRetryStrategy: client.retryStrategy,
    redisOptions: { ...node, ...credentials, ...(tls && { tls: {} }) },
    // A name is checked against the certificate, so ioredis must not replace it by an address.
    ...(tls && { dnsLookup: (host, found) => found(null, host) }),
  });
  letConnectSettle(cluster);
  // BullMQ makes its blocking connections as copies of the client that it gets.
  const duplicate = cluster.duplicate.bind(cluster);
  cluster.duplicate = (...options) => {
    const copy = duplicate(...options);
    letConnectSettle(copy);
    return copy;
  };
  return cluster;
}

/**
 * letConnectSettle makes the promise of `connect()` resolve when any later try succeeds. In ioredis 6.0 it
 * stays pending for good if the nodes answer while the cluster is down, though ioredis goes on trying. After
 * a failover of more than about two seconds BullMQ waits for this promise before it takes another job.
 */
function letConnectSettle(cluster: Cluster): void {
  const connect = cluster.connect.bind(cluster);
  cluster.connect = () =>
    new Promise((resolve, reject) => {
      const isReady = (): void => settle(resolve);
      const hasEnded = (): void => settle(() => reject(new Error('Connection is closed.')));
      const settle = (end: () => void): void => {
        cluster.off('ready', isReady).off('end', hasEnded);
        end();
      };
      cluster.on('ready', isReady).on('end', hasEnded);
      connect().then(isReady, (error: unknown) => settle(() => reject(error)));
    });
}

/** tlsFor returns the options of ioredis's and Node's TLS connections to one server. */
function tlsFor(server: HostAndPort): ConnectionOptions {
  // TLS checks the server name against the certificate; an IP address must not be sent as a server name.
  return /^[\d.]+$|:/.test(server.host) ? {} : { servername: server.host };
}

function neverAddress(address: never): never {
  throw new Error(`Unknown kind of Redis address: ${JSON.stringify(address)}`);
}

function neverRole(role: never): never {
  throw new Error(`Unknown role of a Redis connection: ${JSON.stringify(role)}`);
}
