import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { throttledErrors } from '../async/throttled-errors.ts';
import { keepHeartbeat } from './heartbeat.ts';
import { holdRefusedCommands } from './held-commands.ts';
import { isReadOnlyRefusal, isRefusedSelect } from './refusal.ts';
import { type HostAndPort, parseRedisUrl, type RedisCredentials } from './url.ts';

/** RedisClient runs our own commands, and BullMQ's. */
export type RedisClient = Redis | Cluster;

/**
 * RedisRole says what a command does while Redis is away, or refuses it (`isRedisRefusal`).
 *
 * - `fail-fast` (producer, CLI, library): it fails at once, so that a caller gets its 503 in milliseconds.
 *   Commands must wait for `ready` (see assertRedisUsable), because none is queued before.
 * - `patient` (worker): it waits for Redis without a limit, as BullMQ requires of its workers. No job is
 *   charged, failed or ended for what Redis does not take.
 */
export type RedisRole = 'fail-fast' | 'patient';

/** ConnectRedisOptions configure one connection. */
export type ConnectRedisOptions = {
  /**
   * Called for lost and refused connections and for refused commands of a patient client, at most once a
   * second: ioredis repeats the error of a Redis that is down or misconfigured without a limit.
   */
  readonly onError: (error: Error) => void;
  /** Whether it subscribes to channels. Default false. */
  readonly listens?: boolean;
  /** The connection's name in `CLIENT LIST`. Default: none. */
  readonly name?: string;
};

/**
 * connectRedis begins to connect and returns at once. The caller disconnects.
 *
 * @throws {RedisUnavailableError} when the URL is malformed.
 */
export function connectRedis(url: string, role: RedisRole, options: ConnectRedisOptions): RedisClient {
  const client = createClient(url, role, options.name);
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
 * disconnectRedis ends a connection and fails the commands that wait for it, which ioredis forgets between
 * two tries to connect.
 */
export function disconnectRedis(client: RedisClient): void {
  if (client.status === 'reconnecting') client.connect().catch(() => {});
  client.disconnect();
}

function createClient(url: string, role: RedisRole, name: string | undefined): RedisClient {
  const address = parseRedisUrl(url);
  const behaviour = behaviourOf(role);
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
      return new Redis({
        ...common,
        ...behaviour.client,
        ...address.credentials,
        sentinels: [...address.sentinels],
        name: address.masterName,
        db: address.database,
        sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
        sentinelRetryStrategy: behaviour.client.retryStrategy,
        reconnectOnError: reconnectToMaster(),
      });
    case 'cluster':
      return clusterFrom(address.nodes, address.credentials, common, behaviour.client);
    default:
      return neverAddress(address);
  }
}

const RECONNECT_EVERY_MS = 1000;

/**
 * reconnectToMaster returns the option that connects again when the server turns out to be a replica. After a
 * failover the old master may continue as a replica and keep its connections. The refused command fails, and
 * a patient client sends it again.
 */
function reconnectToMaster(): (error: Error) => boolean {
  let lastAt = 0;
  return (error) => {
    if (!isReadOnlyRefusal(error) || Date.now() - lastAt < RECONNECT_EVERY_MS) return false;
    lastAt = Date.now();
    return true;
  };
}

/**
 * How long ioredis keeps the process alive after disconnect() without a connection, or with a frozen Redis.
 * Its own default is 2 s. A CLI command must end when it has said that Redis is down, and a worker when it
 * has released its jobs.
 */
const DISCONNECT_TIMEOUT_MS = 200;

/** How long a server may take to accept a connection, in milliseconds. A lost route accepts none. */
const CONNECT_TIMEOUT_MS = 2000;
/** How long a sentinel may take to name the master, before the next one is asked, in milliseconds. */
const SENTINEL_TIMEOUT_MS = 1000;

/**
 * Options of the whole client, and options of each of its connections: a cluster takes them in two places.
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

function behaviourOf(role: RedisRole): Behaviour {
  switch (role) {
    case 'fail-fast':
      return {
        client: { enableOfflineQueue: false, retryStrategy: (times) => Math.min(50 * times, 500) },
        node: {
          maxRetriesPerRequest: 1,
          commandTimeout: 2000,
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

function clusterFrom(
  nodes: readonly HostAndPort[],
  credentials: RedisCredentials,
  node: Behaviour['node'],
  client: Behaviour['client'],
): Cluster {
  return new Cluster([...nodes], {
    enableOfflineQueue: client.enableOfflineQueue,
    clusterRetryStrategy: client.retryStrategy,
    redisOptions: { ...node, ...credentials },
  });
}

// TLS checks the server name against the certificate; an IP address must not be sent as a server name.
function tlsFor(server: HostAndPort): NonNullable<RedisOptions['tls']> {
  return /^[\d.]+$|:/.test(server.host) ? {} : { servername: server.host };
}

function neverAddress(address: never): never {
  throw new Error(`Unknown kind of Redis address: ${JSON.stringify(address)}`);
}

function neverRole(role: never): never {
  throw new Error(`Unknown role of a Redis connection: ${JSON.stringify(role)}`);
}
