import { hostname } from 'node:os';
import { Cluster } from 'ioredis';
import type { ModelQueue } from '../src/model-queue/model-queue.ts';
import { HEARTBEAT_EVERY_MS } from '../src/model-queue/workers.ts';
import { ownVersion } from '../src/process/own-version.ts';
import type { RedisClient } from '../src/redis/connection.ts';

/** ServedModel is a model whose jobs this worker takes. */
export interface ServedModel {
  queue: Pick<ModelQueue, 'workers'>;
  /** The id of BullMQ's worker of this model, with which the locks of its jobs begin. */
  workerId: string;
  /** The most jobs of the model that this worker holds. */
  slots: number;
  /** How often a job may be recovered before it fails. */
  mostRecoveries: number;
  /** activeJobs returns how many jobs of the model this worker holds now. */
  activeJobs(): number;
  /** onRecovered is told the ids of the jobs that a heartbeat has taken from workers without heartbeats. */
  onRecovered(ids: readonly string[]): void;
}

/** Heartbeat shows in Redis that this worker lives. */
export interface Heartbeat {
  /** first resolves when Redis has the first heartbeat of every model. */
  readonly first: Promise<void>;
  /** stop ends the heartbeats and removes the worker from Redis. Without Redis the last heartbeat expires. */
  stop(): Promise<void>;
}

/**
 * startHeartbeat writes a heartbeat for each model every second. Each heartbeat is a small script, and all
 * are sent together. The next heartbeats are sent only after the last ones were answered, so that none pile
 * up while Redis is away. Heartbeats that were sent meanwhile are written as soon as Redis is back.
 *
 * @param subscriber the connection for messages. It ends with this process, which the other workers notice by
 * the subscriptions of the models.
 */
export function startHeartbeat(
  models: readonly ServedModel[],
  subscriber: RedisClient,
  onError: (error: Error) => void,
): Heartbeat {
  const [host, pid, version] = [hostname(), process.pid, ownVersion()];
  let isSubscribed = false;
  subscriber
    .subscribe(...models.map(({ queue, workerId }) => queue.workers.channelOf(workerId)))
    .then(async () => {
      // A node of a cluster knows its own subscribers only, and this connection may be to any node.
      isSubscribed = !(subscriber instanceof Cluster);
      // The first heartbeat says that the connection is not there yet. A worker that is killed before its second
      // one would not count as dead, and the creates that it has under way would be left to their locks.
      await underWay;
      if (isSubscribed && !stopped) send(beat());
    })
    .catch(onError);
  let sentAt = performance.now();
  const beat = async (): Promise<void> => {
    const sentAfterMs = performance.now() - sentAt;
    sentAt += sentAfterMs;
    await Promise.all(
      models.map(async ({ queue, workerId, slots, mostRecoveries, ...model }) => {
        const watched = isSubscribed && subscriber.status === 'ready';
        const details = { host, pid, version, slots, active: model.activeJobs(), watched };
        model.onRecovered(await queue.workers.beat(workerId, details, sentAfterMs, mostRecoveries));
      }),
    );
  };
  const first = beat();
  let underWay: Promise<void> | undefined;
  let stopped = false;
  const send = (beating: Promise<void>): void => {
    underWay = beating
      .catch((error: Error) => {
        if (!stopped) onError(error);
      })
      .finally(() => {
        underWay = undefined;
      });
  };
  send(first);
  const timer = setInterval(() => {
    if (underWay === undefined) send(beat());
  }, HEARTBEAT_EVERY_MS);
  return {
    first,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await underWay;
      // Without Redis these commands end when the connection is closed, and the last heartbeat expires.
      await Promise.all(models.map(({ queue, workerId }) => queue.workers.leave(workerId))).catch(() => {});
    },
  };
}
