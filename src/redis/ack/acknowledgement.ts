import { throttledErrors } from '../../async/throttled-errors.ts';
import type { ModelKeys } from '../keys.ts';
import { parseRedisUrl } from '../url.ts';
import type { Ack } from './level.ts';
import { createSharedWaits, type SharedWaits, type WaitOptions, type Written } from './shared-waits.ts';

/** storedJob is the write that has stored a job. */
export function storedJob(keys: ModelKeys, id: string): Written {
  return { tick: keys.ack, key: keys.job(id), field: 'timestamp' };
}

/** storedPurchase is the write that has stored the id of a job's response. */
export function storedPurchase(keys: ModelKeys, id: string): Written {
  return { tick: keys.ack, key: keys.run(id), field: 'upstream_id' };
}

/** Acknowledger waits until writes are as safe as `O3Q_ACK` asks for. */
export interface Acknowledger {
  /**
   * reached says how safe a write is that Redis has answered. It waits for `ACK_MS` at most for each of two
   * waits, and never throws: when the wait fails, or the server does not have the write (any more), the
   * answer is `memory`.
   */
  reached(written: Written): Promise<Ack>;
  close(): void;
}

export interface AcknowledgerOptions extends WaitOptions {
  /** Called for each write that is less safe than `ack` asks for, with the reason. */
  readonly onWeak: (reason: string) => void;
}

/**
 * createAcknowledger confirms writes of any connection of this process, on connections of its own.
 *
 * `WAIT` and `WAITAOF` wait for the last write of their own connection, and no command of that connection is
 * answered meanwhile. So they run on connections that do nothing else. Each wait is a pipeline: a tiny write,
 * a look at what is to be confirmed, and the wait. Redis writes to its append-only file and to its replicas
 * in the order of its writes. So the wait for the tiny write confirms each write that was answered before.
 *
 * The look makes this true across a failover: without it, a new master that never got the write would confirm
 * its own tiny write. The three must be on one connection: ioredis fails a pipeline whose connection breaks
 * after its first reply, and sends an unanswered one again as a whole.
 */
export function createAcknowledger(options: AcknowledgerOptions): Acknowledger {
  const { ack, redisUrl, onWeak } = options;
  if (ack === 'memory') return { reached: async () => 'memory', close() {} };
  const onError = throttledErrors(options.onError);
  const isCluster = parseRedisUrl(redisUrl).kind === 'cluster';
  const lanes = new Map<string, SharedWaits>();
  const waitsOf = (tick: string): SharedWaits => {
    const slot = isCluster ? tick : '';
    const waits = lanes.get(slot) ?? createSharedWaits({ ...options, onError });
    lanes.set(slot, waits);
    return waits;
  };
  return {
    async reached(written) {
      const doubt = await waitsOf(written.tick).confirm(written);
      if (doubt === undefined) return ack;
      onWeak(doubt);
      return 'memory';
    },
    close() {
      for (const waits of lanes.values()) waits.close();
    },
  };
}
