import { Counter, Gauge, Registry } from 'prom-client';
import { WINDOW_MS } from '../../src/job/completion-window.ts';
import type { ModelsSnapshot } from '../../src/models/status.ts';
import type { WriteProbe } from '../../src/redis/write-probe.ts';
import type { Outcome } from '../attempt/outcome.ts';
import type { PurchaseEvent } from '../attempt/purchase.ts';
import { registerQuotaGauges } from './shared-gauges.ts';

/** Metrics are the counts of one worker. Two workers in one process have separate counts. */
export interface Metrics {
  /** The metrics in the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  /** @param held how many jobs of the model this worker holds right now. */
  of(model: string, held: () => number): ModelMetrics;
  /**
   * Adds the gauges of values that all workers share.
   * @param look reads the state of all models from Redis; resolves to undefined while Redis cannot be read.
   */
  watch(look: () => Promise<ModelsSnapshot | undefined>): void;
  /** Adds the gauge that says whether Redis takes the writes of this worker. */
  watchRedis(trouble: WriteProbe): void;
  /** Counts one try to deliver a webhook. */
  delivery(result: DeliveryResult): void;
  /** Counts one try to delete a response at the upstream. */
  deletion(result: DeletionResult): void;
  /** Counts an id of a response that is less safe in Redis than `O3Q_ACK` asks for. */
  weakAck(): void;
}

/** A `failed` delivery is tried again; one that is `given_up` is not. */
export type DeliveryResult = 'delivered' | 'failed' | 'given_up';

/**
 * `missing`: the upstream had nothing to delete. A `failed` try is repeated; a try that is `given_up` is not.
 */
export type DeletionResult = 'deleted' | 'missing' | 'failed' | 'given_up';

export interface ModelMetrics {
  purchase(what: PurchaseEvent): void;
  /** Counts the end of an attempt, what the completion window of its answer has saved, and if it was missed. */
  outcome(outcome: Outcome): void;
  /** Counts a create that was answered 429. */
  throttled(): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counters: Record<PurchaseEvent, Counter> = {
    bought: new Counter({
      name: 'o3q_purchases_total',
      help: 'Responses bought from the upstream',
      labelNames: ['model'],
      registers,
    }),
    adopted: new Counter({
      name: 'o3q_adoptions_total',
      help: 'Responses of an earlier attempt that were adopted instead of bought again',
      labelNames: ['model'],
      registers,
    }),
    uncertain: new Counter({
      name: 'o3q_uncertain_purchases_total',
      help: 'Create requests whose outcome is unknown; each may be a purchase',
      labelNames: ['model'],
      registers,
    }),
  };
  const outcomes = new Counter({
    name: 'o3q_attempts_total',
    help: 'Ended attempts, by outcome',
    labelNames: ['model', 'outcome'],
    registers,
  });
  const throttled = new Counter({
    name: 'o3q_throttled_total',
    help: 'Create requests that the upstream throttled (429)',
    labelNames: ['model'],
    registers,
  });
  const saved = new Counter({
    name: 'o3q_saved_usd_total',
    help: 'US dollars that the discounts of completion windows have saved on completed jobs',
    labelNames: ['model'],
    registers,
  });
  const missed = new Counter({
    name: 'o3q_window_missed_total',
    help: 'Answers that came after the end of the completion window in which they were bought',
    labelNames: ['model', 'window'],
    registers,
  });
  const deliveries = new Counter({
    name: 'o3q_webhook_deliveries_total',
    help: 'Tries to deliver a webhook to a caller, by result',
    labelNames: ['result'],
    registers,
  });
  for (const result of ['delivered', 'failed', 'given_up'] satisfies DeliveryResult[])
    deliveries.inc({ result }, 0);
  const deletions = new Counter({
    name: 'o3q_upstream_deletions_total',
    help: 'Tries to delete a response of a deleted job at the upstream, by result',
    labelNames: ['result'],
    registers,
  });
  for (const result of ['deleted', 'missing', 'failed', 'given_up'] satisfies DeletionResult[])
    deletions.inc({ result }, 0);
  const weakAcks = new Counter({
    name: 'o3q_weak_acks_total',
    help: 'Writes that Redis has not confirmed as O3Q_ACK asks for: ids of bought responses, in a worker',
    registers,
  });
  const held = new Map<string, () => number>();
  new Gauge({
    name: 'o3q_active_jobs',
    help: 'Active jobs of this worker',
    labelNames: ['model'],
    registers,
    collect() {
      for (const [model, count] of held) this.set({ model }, count());
    },
  });
  return {
    text: () => registry.metrics(),
    contentType: registry.contentType,
    watch: (look) => registerQuotaGauges(registry, look),
    watchRedis(trouble) {
      new Gauge({
        name: 'o3q_redis_ready',
        help: '1 while Redis takes the writes of this worker, 0 while it is away, full or read-only',
        registers,
        async collect() {
          this.set((await trouble()) === undefined ? 1 : 0);
        },
      });
    },
    delivery: (result) => deliveries.inc({ result }),
    deletion: (result) => deletions.inc({ result }),
    weakAck: () => weakAcks.inc(),
    of(model, count) {
      held.set(model, count);
      // Every counter starts at 0: a counter that is missing until its first event looks as if it were not
      // scraped.
      for (const counter of [...Object.values(counters), throttled, saved]) counter.inc({ model }, 0);
      for (const window of Object.keys(WINDOW_MS)) missed.inc({ model, window }, 0);
      return {
        purchase: (what) => counters[what].inc({ model }),
        outcome: (outcome) => {
          outcomes.inc({ model, outcome: outcome.kind });
          if (outcome.kind !== 'completed') return;
          saved.inc({ model }, outcome.summary.saved_usd ?? 0);
          const { missedWindow: window } = outcome;
          if (window !== undefined) missed.inc({ model, window });
        },
        throttled: () => throttled.inc({ model }),
      };
    },
  };
}
