import type { Models } from '../config/file.ts';
import type { Acknowledger } from '../redis/ack/acknowledgement.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { RedisGuard } from '../redis/guard.ts';
import type { UsageStore } from '../usage/store.ts';
import type { LargeConnection } from './large-connection.ts';
import type { ModelQueue } from './model-queue.ts';
import type { MemoryUse } from './redis-memory.ts';

/**
 * QueueAccess is the part of QueueCore that the folders below src/queue use: the connection, the
 * configuration, and a queue for each model.
 */
export interface QueueAccess {
  /** `O3Q_PREFIX`, the first part of every key. */
  readonly prefix: string;
  readonly redis: RedisClient;
  /** The connection for data of `LARGE_BYTES` and more. */
  readonly large: Pick<LargeConnection, 'use'>;
  readonly models: Models;
  /** The queue of each model, by the model's name. */
  readonly queues: ReadonlyMap<string, ModelQueue>;
  readonly guard: RedisGuard;
  /** Waits until a stored job is as safe as `O3Q_ACK` asks for. */
  readonly acknowledger: Pick<Acknowledger, 'reached'>;
  readonly usage: UsageStore;
  /** Returns how full Redis is; undefined: unknown, or Redis has no limit. */
  readonly memory: () => Promise<MemoryUse | undefined>;
  /** Whether workers deliver webhooks. */
  readonly webhooksOut: boolean;
  /** Called when this process has ended a job of the model, because it was cancelled and no worker held it. */
  readonly onCancelled: (model: string) => void;
}

/** The date that OpenAI appends to a model's name for a snapshot of it. */
const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;

/**
 * queueNamed returns the queue of a model. The name may also be that of a snapshot of its upstream model
 * (`o3-2025-04-16`), if that belongs to one configured model only. undefined: no model has this name.
 */
export function queueNamed(name: string, queues: ReadonlyMap<string, ModelQueue>): ModelQueue | undefined {
  const queue = queues.get(name);
  if (queue !== undefined || !SNAPSHOT.test(name)) return queue;
  const names = [name, name.replace(SNAPSHOT, '')];
  const [found, ...others] = [...queues.values()].filter(({ config }) => names.includes(config.upstream));
  return others.length === 0 ? found : undefined;
}
