import { Cluster, type Redis } from 'ioredis';

/** The time between two beats, in milliseconds. */
const BEAT_MS = 1000;
/** A connection on which the server has sent nothing for so long, though asked, is cut; in milliseconds. */
const SILENT_MS = 2000;
/** The same for BullMQ's blocking connections: a ping behind a BZPOPMIN is answered after at most 10 s. */
const BLOCKING_SILENT_MS = 12_000;

/** Cut ends a silent connection, so that ioredis makes a new one. */
type Cut = (error: Error) => void;

/**
 * keepHeartbeat ends connections on which a server gives no sign of life, so that ioredis connects again: to
 * the new master, which a sentinel, a cluster or a name leads to. Without it a server that hangs (a stopped
 * process, a lost route) is noticed only when the system gives up the connection, many minutes later. If
 * another server was promoted meanwhile, jobs that the old one accepts when it continues are lost.
 *
 * Each second a connection is asked for an answer. Any byte is a sign of life, so that a long queue of
 * replies is not taken for silence. Time in which this process itself stood still does not count. The
 * commands on their way are sent again by a patient client, and fail in a fail-fast one.
 *
 * ioredis has `socketTimeout`, which counts the time in which the process stood still, and
 * `failoverDetector`, which hears of failovers by Sentinel only and left workers without a connection when it
 * was tried.
 *
 * @param listens whether the client subscribes to channels.
 * @param onSilent called with each connection that is cut.
 */
export function keepHeartbeat(
  client: Redis | Cluster,
  { listens }: { listens: boolean },
  onSilent: (error: Error) => void,
): void {
  if (listens && client instanceof Cluster) watchSubscriber(client, onSilent);
  const copies = new Set<Redis | Cluster>();
  watch(client, SILENT_MS, (error) => {
    onSilent(error);
    // The copies reach the same server, and would find out later.
    for (const copy of copies) reconnect(copy);
  });
  // BullMQ makes its blocking connections as copies of the client that it is given.
  const duplicate = client.duplicate.bind(client) as (...options: unknown[]) => Redis | Cluster;
  client.duplicate = ((...options: unknown[]) => {
    const copy = duplicate(...options);
    copies.add(copy);
    copy.once('end', () => copies.delete(copy));
    watch(copy, BLOCKING_SILENT_MS, onSilent);
    return copy;
  }) as never;
}

function watch(client: Redis | Cluster, silentMs: number, onCut: Cut): void {
  if (!(client instanceof Cluster)) {
    watchConnection(client, silentMs, (error) => {
      onCut(error);
      reconnect(client);
    });
    return;
  }
  // A cluster forgets a node whose connection has ended, and asks the others where its slots are now.
  client.on('+node', (node: Redis) => {
    watchConnection(node, silentMs, (error) => {
      onCut(error);
      node.disconnect();
    });
  });
}

function watchConnection(connection: Redis, silentMs: number, cut: Cut): void {
  let timer: NodeJS.Timeout | undefined;
  let heard = { bytes: -1, at: 0 };
  let lastBeatAt = 0;

  const beat = (): void => {
    const now = performance.now();
    const stoodStill = now - lastBeatAt > 2 * BEAT_MS;
    lastBeatAt = now;
    const bytes = connection.stream.bytesRead;
    if (stoodStill || bytes !== heard.bytes) heard = { bytes, at: now };
    else if (now - heard.at >= silentMs) {
      stop();
      cut(
        new Error(`Redis at ${addressOf(connection)} has sent nothing for ${silentMs} ms; connecting again`),
      );
      return;
    }
    // A pipeline, because a patient client holds single commands that are refused.
    if (connection.status === 'ready')
      connection
        .pipeline()
        .ping()
        .exec()
        .catch(() => {});
  };
  const start = (): void => {
    clearInterval(timer);
    lastBeatAt = performance.now();
    heard = { bytes: -1, at: lastBeatAt };
    timer = setInterval(beat, BEAT_MS);
    timer.unref();
  };
  const stop = (): void => clearInterval(timer);

  // From the first moment of a connection: a server that hangs takes connections, and answers none.
  connection.on('connect', start);
  connection.on('close', stop);
  connection.on('end', stop);
}

/**
 * A cluster's client listens on a connection of its own, which it does not show. It answers `UNSUBSCRIBE`, also
 * for a channel without a subscription.
 */
function watchSubscriber(cluster: Cluster, onCut: Cut): void {
  let askedAt: number | undefined;
  let lastBeatAt = performance.now();
  const beat = (): void => {
    const now = performance.now();
    const stoodStill = now - lastBeatAt > 2 * BEAT_MS;
    lastBeatAt = now;
    if (cluster.status !== 'ready') askedAt = undefined;
    else if (askedAt === undefined) {
      askedAt = now;
      const answered = (): void => {
        askedAt = undefined;
      };
      cluster.unsubscribe('o3q:heartbeat').then(answered, answered);
    } else if (stoodStill) askedAt = now;
    else if (now - askedAt >= SILENT_MS) {
      askedAt = undefined;
      onCut(new Error(`The cluster's node with the subscriptions has sent nothing for ${SILENT_MS} ms`));
      reconnect(cluster);
    }
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
