import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { drainOutbox, type OutboxDrain } from '../../src/webhooks/outbox.ts';

export interface OutboxesOptions extends Omit<OutboxDrain, 'queue'> {
  /** Hears of what is new, and is shared with others. */
  subscriber: RedisClient;
  queues: readonly ModelQueue[];
  onError: (error: Error) => void;
}

/** A message may be lost, and a drain may fail: everybody looks again this often. */
const SWEEP_MS = 5000;

/** Drains the outboxes of all models, from now on: at once when a job ends, and now and again. @returns how to stop. */
export function drainOutboxes({ subscriber, queues, onError, ...drain }: OutboxesOptions): () => void {
  let isStopped = false;
  // Whatever is under way when the connections end is found again by the next worker.
  const tell = (error: Error): void => {
    if (!isStopped) onError(error);
  };
  const wakers = new Map(
    queues.map((queue) => [queue.keys.outbox, createWaker(() => drainOutbox({ ...drain, queue }), tell)]),
  );
  const sweep = (): void => {
    for (const wake of wakers.values()) wake();
  };
  const hear = (channel: string): void => wakers.get(channel)?.();
  subscriber.on('message', hear);
  subscriber.on('ready', sweep);
  subscriber.subscribe(...wakers.keys()).then(sweep, tell);
  const sweeping = setInterval(sweep, SWEEP_MS);
  return () => {
    isStopped = true;
    clearInterval(sweeping);
    subscriber.off('message', hear);
    subscriber.off('ready', sweep);
  };
}

/** One run at a time; who wakes it while it runs gets one more afterwards, however many they are. */
function createWaker(run: () => Promise<void>, onError: (error: Error) => void): () => void {
  let isRunning = false;
  let isWanted = false;
  const wake = (): void => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    isWanted = false;
    run()
      .catch(onError)
      .finally(() => {
        isRunning = false;
        if (isWanted) wake();
      });
  };
  return wake;
}
