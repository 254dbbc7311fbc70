import { withTimeout } from '../async/with-timeout.ts';
import type { RedisClient } from './connection.ts';

const KEY_MS = 1000;
/** A Redis that answers later than this is away, in milliseconds. */
const ANSWER_MS = 1000;

/**
 * WriteProbe returns why Redis takes no writes from this client now; undefined: it takes them. A ping would
 * not tell: a Redis that is full, and a replica, still answer it. A probe never waits for longer than a
 * second.
 */
export type WriteProbe = () => Promise<string | undefined>;

/** createWriteProbe makes a probe that writes `<prefix>:ready`. Probes that overlap are one. */
export function createWriteProbe(client: RedisClient, prefix: string): WriteProbe {
  let running: Promise<string | undefined> | undefined;
  const write = async (): Promise<string | undefined> => {
    // A pipeline, because a patient client would hold a single command until Redis takes it.
    const replies = await client.pipeline().set(`${prefix}:ready`, '', 'PX', KEY_MS).exec();
    return replies?.[0]?.[0]?.message;
  };
  return async () => {
    if (client.status !== 'ready') return `Redis is away: the connection is ${client.status}`;
    running ??= write()
      .catch((error: Error) => error.message)
      .finally(() => {
        running = undefined;
      });
    return withTimeout(
      running.then((reason) => reason && `Redis takes no writes: ${reason}`),
      `Redis has not answered for ${ANSWER_MS} ms`,
      ANSWER_MS,
    );
  };
}
