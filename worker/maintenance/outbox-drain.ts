import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { drainOutbox, type OutboxDrain } from '../../src/webhooks/outbox.ts';

export interface OutboxesOptions extends Omit<OutboxDrain, 'queue'> {
  /** A connection for messages, shared with others. */
  subscriber: RedisClient;
  queues: readonly ModelQueue[];
  onError: (error: Error) => void;
}

/** A message may be lost, and a drain may fail, so every worker looks again this often. */
const SWEEP_MS = 5000;

/**
 * drainOutboxes starts to drain the outboxes of all models: at once when a job ends, and every few seconds.
 * @returns a function that stops it.
 */
export function drainOutboxes({ subscriber, queues, onError, ...drain }: OutboxesOptions): () => void {
  let isStopped = false;
  // A drain that is under way when the connections end is repeated by the next worker.
  const report = (error: Error): void => {
    if (!isStopped) onError(error);
  };
  const drains = new Map(
    queues.map((queue) => [
      queue.keys.outbox,
      createExclusiveRun(() => drainOutbox({ ...drain, queue }), report),
    ]),
  );
  const sweep = (): void => {
    for (const run of drains.values()) run();
  };
  const hear = (channel: string): void => drains.get(channel)?.();
  subscriber.on('message', hear);
  subscriber.on('ready', sweep);
  subscriber.subscribe(...drains.keys()).then(sweep, report);
  const sweeping = setInterval(sweep, SWEEP_MS);
  return () => {
    isStopped = true;
    clearInterval(sweeping);
    subscriber.off('message', hear);
    subscriber.off('ready', sweep);
  };
}

/** Runs one at a time. Any number of calls during a run cause one more run after it. */
function createExclusiveRun(run: () => Promise<void>, onError: (error: Error) => void): () => void {
  let isRunning = false;
  let isWanted = false;
  const start = (): void => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    isWanted = false;
    run()
      .catch(onError)
      .finally(() => {
        isRunning = false;
        if (isWanted) start();
      });
  };
  return start;
}
