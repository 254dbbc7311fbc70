import { withTimeout } from '../async/with-timeout.ts';
import type { RedisClient } from './connection.ts';

const KEY_MS = 1000;
/** How long Redis may take to answer, in milliseconds. A Redis that takes longer counts as away. */
const ANSWER_MS = 1000;

/**
 * WriteProbe returns why Redis accepts no writes from this client now; undefined when it accepts them. A ping
 * would not show this: a full Redis and a replica still answer pings. A probe waits a second at most.
 */
export type WriteProbe = () => Promise<string | undefined>;

/** createWriteProbe makes a probe that writes `<prefix>:ready`. Calls that overlap share one write. */
export function createWriteProbe(client: RedisClient, prefix: string): WriteProbe {
  let running: Promise<string | undefined> | undefined;
  const write = async (): Promise<string | undefined> => {
    // The write is a pipeline, because a patient client would hold a single command that Redis refuses.
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
