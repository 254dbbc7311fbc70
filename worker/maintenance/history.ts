import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import { recordSample, SAMPLE_EVERY_MS } from '../../src/overview/history.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { serverTime } from '../../src/redis/server-time.ts';

/**
 * How long after the end of five minutes their sample is taken: ends of jobs may be written a little late.
 */
const AFTER_MS = 5000;
/** Spreads the workers of a fleet, so that they do not all begin at the same instant. */
const JITTER_MS = 5000;

/** keepHistory records a sample of each model every five minutes, until `stop`. */
export function keepHistory(
  redis: RedisClient,
  queues: readonly ModelQueue[],
  onError: (error: Error) => void,
): { stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const next = (): void => {
    if (isStopped) return;
    const waitMs = SAMPLE_EVERY_MS - (serverTime(redis) % SAMPLE_EVERY_MS);
    timer = setTimeout(record, waitMs + AFTER_MS + Math.random() * JITTER_MS);
  };
  const record = (): void => {
    Promise.all(queues.map((queue) => recordSample(redis, queue)))
      .catch((error: Error) => {
        if (!isStopped) onError(error);
      })
      .finally(next);
  };
  record();
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
