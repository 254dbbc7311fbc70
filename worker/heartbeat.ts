import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { ModelQueue } from '../src/model-queue/model-queue.ts';
import { HEARTBEAT_EVERY_MS } from '../src/model-queue/workers.ts';
import { ownVersion } from '../src/process/own-version.ts';

/** ServedModel is a model whose jobs this worker takes. */
export interface ServedModel {
  queue: Pick<ModelQueue, 'workers'>;
  /** The most jobs of the model that this worker holds. */
  slots: number;
  /** activeJobs returns how many jobs of the model this worker holds now. */
  activeJobs(): number;
}

/** Heartbeat shows in Redis that this worker lives. */
export interface Heartbeat {
  /** first resolves when Redis has the first heartbeat of every model. */
  readonly first: Promise<void>;
  /** stop ends the heartbeats and removes the worker from Redis. Without Redis the last heartbeat expires. */
  stop(): Promise<void>;
}

/**
 * startHeartbeat writes a heartbeat for each model every two seconds. Each heartbeat is a small script, and
 * all are sent together. The next heartbeats are sent only after the last ones were answered, so that none
 * pile up while Redis is away. Heartbeats that were sent meanwhile are written as soon as Redis is back.
 */
export function startHeartbeat(models: readonly ServedModel[], onError: (error: Error) => void): Heartbeat {
  const [host, pid, version] = [hostname(), process.pid, ownVersion()];
  const worker = `${host}:${pid}:${randomUUID()}`;
  const beat = async (): Promise<void> => {
    await Promise.all(
      models.map(({ queue, slots, activeJobs }) =>
        queue.workers.beat(worker, { host, pid, version, slots, active: activeJobs() }),
      ),
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
      await Promise.all(models.map(({ queue }) => queue.workers.leave(worker))).catch(() => {});
    },
  };
}
