import type { RedisClient } from '../../src/redis/connection.ts';
import type { ModelKeys } from '../../src/redis/keys.ts';
import type { ActiveAttempts } from './active-attempts.ts';

export interface Cancellations {
  /** Looks up the cancel marks of these jobs: closes the gap that a lost message leaves. */
  sweep(ids: readonly string[]): Promise<void>;
}

/**
 * Hears of cancels of one model's active jobs. The mark in the record is what counts; the message only makes it quick,
 * and may be lost while the connection is away.
 */
export function listenForCancels(
  redis: RedisClient,
  subscriber: RedisClient,
  keys: ModelKeys,
  attempts: ActiveAttempts,
  onError: (error: Error) => void,
): Cancellations {
  const cancellations: Cancellations = {
    async sweep(ids) {
      // Once per model, for thousands of jobs: their keys share a slot, so that this works in a cluster as well.
      const pipeline = redis.pipeline();
      for (const id of ids) pipeline.hexists(keys.run(id), 'cancel_requested_at');
      const replies = (await pipeline.exec()) ?? [];
      for (const [i, id] of ids.entries()) {
        if (replies[i]?.[1] === 1) attempts.interrupt(id, 'cancelled');
      }
    },
  };
  subscriber.on('message', (channel: string, id: string) => {
    if (channel === keys.cancelChannel) attempts.interrupt(id, 'cancelled');
  });
  const sweepAll = (): void => void cancellations.sweep(attempts.ids()).catch(onError);
  // ioredis subscribes again by itself after a reconnect.
  subscriber.on('ready', sweepAll);
  subscriber.subscribe(keys.cancelChannel).then(sweepAll, onError);
  return cancellations;
}
