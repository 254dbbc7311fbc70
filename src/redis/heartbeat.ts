import { Cluster, type Redis } from 'ioredis';
import { hearServerTime } from './server-time.ts';

/** The time between two beats, in milliseconds. */
const BEAT_MS = 1000;
/** How long the server may send nothing, in milliseconds. Then the connection is cut. */
const SILENT_MS = 2000;
/**
 * The same in milliseconds for BullMQ's blocking connections: a ping after a BZPOPMIN is answered after at
 * most 10 s.
 */
const BLOCKING_SILENT_MS = 12_000;

/**
 * The slowest line on which a server may read a large command, in bytes a millisecond: 8 Mbit/s. Until it has
 * read all of the command, it answers no ping.
 */
const LEAST_PACE = 1000;

/** Cut ends a silent connection, so that ioredis makes a new one. */
type Cut = (error: Error) => void;

/** OnTime takes a reply to TIME, and when TIME was sent by `performance.now()`. */
type OnTime = (reply: unknown, askedAt: number) => void;

interface WatchOptions {
  /** How long the server may send nothing, in milliseconds. */
  silentMs: number;
  /** Called with each reply to TIME; undefined: the connection is pinged instead. */
  onTime?: OnTime | undefined;
}

/**
 * keepHeartbeat cuts connections on which the server sends nothing, so that ioredis connects again: to the
 * new master, if a sentinel, a cluster or a DNS name now leads to it. Without this check, a server that hangs
 * (a stopped process, a lost route) is noticed only when the operating system gives up the connection, many
 * minutes later. If another server was promoted meanwhile, jobs that the old one accepts when it continues
 * are lost.
 *
 * Each connection is pinged every second, with TIME where the connection takes commands: the reply also keeps
 * `serverTime` right. Any byte from the server counts as an answer, so a long queue of
 * replies is not taken for silence. Time in which this process itself was stopped does not count. A patient
 * client sends its unanswered commands again; in a fail-fast client they fail.
 *
 * Two options of ioredis were rejected. `socketTimeout` counts the time in which the process was stopped.
 * `failoverDetector` only learns of failovers by Sentinel, and left workers without a connection when it was
 * tried.
 *
 * @param listens whether the client subscribes to channels.
 * @param onSilent called with the error of each connection that is cut.
 */
export function keepHeartbeat(
  client: Redis | Cluster,
  { listens }: { listens: boolean },
  onSilent: (error: Error) => void,
): void {
  if (listens && client instanceof Cluster) watchSubscriber(client, onSilent);
  const copies = new Set<Redis | Cluster>();
  const onTime: OnTime | undefined = listens ? undefined : (...time) => hearServerTime(client, ...time);
  watch(client, { silentMs: SILENT_MS, onTime }, (error) => {
    onSilent(error);
    // The copies are connected to the same server, and would notice the silence only later.
    for (const copy of copies) reconnect(copy);
  });
  // BullMQ makes its blocking connections as copies of the client that it gets.
  const duplicate = client.duplicate.bind(client) as (...options: unknown[]) => Redis | Cluster;
  client.duplicate = ((...options: unknown[]) => {
    const copy = duplicate(...options);
    copies.add(copy);
    copy.once('end', () => copies.delete(copy));
    watch(copy, { silentMs: BLOCKING_SILENT_MS }, onSilent);
    return copy;
  }) as never;
}

function watch(client: Redis | Cluster, options: WatchOptions, onCut: Cut): void {
  if (!(client instanceof Cluster)) {
    watchConnection(client, options, (error) => {
      onCut(error);
      reconnect(client);
    });
    return;
  }
  // A cluster's client forgets a node whose connection has ended, and asks the other nodes for its slots.
  client.on('+node', (node: Redis) => {
    watchConnection(node, options, (error) => {
      onCut(error);
      node.disconnect();
    });
  });
}

function watchConnection(connection: Redis, { silentMs, onTime }: WatchOptions, cut: Cut): void {
  let timer: NodeJS.Timeout | undefined;
  let heard = { bytes: -1, at: 0 };
  let lastBeatAt = 0;

  const beat = (): void => {
    const now = performance.now();
    const stoodStill = now - lastBeatAt > 2 * BEAT_MS;
    lastBeatAt = now;
    const { bytesRead: bytes, writableLength: unsent } = connection.stream;
    if (stoodStill || bytes !== heard.bytes) heard = { bytes, at: now };
    else if (now - heard.at >= silentMs + unsent / LEAST_PACE) {
      stop();
      cut(
        new Error(`Redis at ${addressOf(connection)} has sent nothing for ${silentMs} ms; connecting again`),
      );
      return;
    }
    // The command is a pipeline, because a patient client holds single commands that Redis refuses.
    if (connection.status !== 'ready') return;
    const pipeline = connection.pipeline();
    (onTime === undefined ? pipeline.ping() : pipeline.time()).exec().then(
      (replies) => onTime !== undefined && replies?.[0]?.[1] && onTime(replies[0][1], now),
      () => {},
    );
  };
  const start = (): void => {
    clearInterval(timer);
    lastBeatAt = performance.now();
    heard = { bytes: -1, at: lastBeatAt };
    timer = setInterval(beat, BEAT_MS);
    timer.unref();
  };
  const stop = (): void => clearInterval(timer);

  // The check starts when the connection opens: a server that hangs accepts connections and answers none.
  connection.on('connect', start);
  connection.on('close', stop);
  connection.on('end', stop);
}

/**
 * watchSubscriber keeps the subscriptions of a cluster's client. They are on a connection of their own, which
 * the client does not expose, but the server answers `UNSUBSCRIBE` there, even for a channel without a
 * subscription, with the number of the subscriptions that are left. After a node has hung, that connection
 * may be missing, or may have lost channels: ioredis subscribes them again once, and gives up silently.
 */
function watchSubscriber(cluster: Cluster, onCut: Cut): void {
  const subscribe = cluster.subscribe.bind(cluster) as (...channels: string[]) => Promise<unknown>;
  const unsubscribe = cluster.unsubscribe.bind(cluster) as typeof subscribe;
  const wanted = new Set<string>();
  cluster.subscribe = ((...channels: string[]) => {
    for (const channel of channels) wanted.add(channel);
    return subscribe(...channels);
  }) as never;
  cluster.unsubscribe = ((...channels: string[]) => {
    for (const channel of channels) wanted.delete(channel);
    return unsubscribe(...channels);
  }) as never;

  let asking: Promise<void> | undefined;
  /** The time of the first beat since the last answer. */
  let silentSince: number | undefined;
  let lastBeatAt = performance.now();
  const hear = async (left: unknown): Promise<void> => {
    silentSince = undefined;
    if (Number(left) < wanted.size) await subscribe(...wanted);
  };
  const ask = (): void => {
    // Without an answer the next beats ask again, until the connection counts as silent.
    const mine = unsubscribe('o3q:heartbeat')
      .then(hear)
      .catch(() => {})
      .finally(() => {
        if (asking === mine) asking = undefined;
      });
    asking = mine;
  };
  const beat = (): void => {
    const now = performance.now();
    const stoodStill = now - lastBeatAt > 2 * BEAT_MS;
    lastBeatAt = now;
    if (cluster.status !== 'ready') silentSince = undefined;
    else if (silentSince === undefined || stoodStill) silentSince = now;
    else if (now - silentSince >= SILENT_MS) {
      [asking, silentSince] = [undefined, undefined];
      onCut(new Error(`The cluster's node with the subscriptions has sent nothing for ${SILENT_MS} ms`));
      reconnect(cluster);
      return;
    }
    if (silentSince !== undefined && asking === undefined) ask();
  };
  const timer = setInterval(beat, BEAT_MS);
  timer.unref();
  cluster.on('end', () => clearInterval(timer));
}

function reconnect(client: Redis | Cluster): void {
  if (client.status === 'ready' || client.status === 'connect') client.disconnect(true);
}

function addressOf({ stream, options }: Redis): string {
  return `${stream.remoteAddress ?? options.host}:${stream.remotePort ?? options.port}`;
}
