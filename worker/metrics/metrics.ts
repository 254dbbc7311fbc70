import { Counter, Gauge } from 'prom-client';
import { createProcessMetrics, type ProcessMetrics } from '../../src/metrics/process-metrics.ts';
import { registerSharedGauges, type SharedReads } from '../../src/models/shared-gauges.ts';
import type { WriteProbe } from '../../src/redis/write-probe.ts';
import { createModelMetrics, type ModelMetrics } from './model-metrics.ts';

/**
 * Metrics are what one worker counts. The counts are in its memory: they are lost when the process ends, and
 * begin at 0 in the next one, as Prometheus expects.
 */
export interface Metrics {
  /** Returns the metrics in the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  /** @param held how many jobs of the model this worker holds right now. */
  of(model: string, held: () => number): ModelMetrics;
  /** Adds the gauges of values that all processes share. */
  watch(reads: SharedReads): void;
  /** Adds the gauge that says whether Redis takes the writes of this worker. */
  watchRedis(trouble: WriteProbe): void;
  /** Counts the id of a bought response that is less safe in Redis than `O3Q_ACK` asks for. */
  weakAck(): void;
  /** Counts one try to deliver a webhook. */
  delivery(result: DeliveryResult): void;
  /** Counts one try to delete a response at the upstream. */
  deletion(result: DeletionResult): void;
}

/** A `failed` delivery is tried again; one that is `given_up` is not. */
export type DeliveryResult = 'delivered' | 'failed' | 'given_up';

/**
 * `missing`: the upstream had nothing to delete. A `failed` try is repeated; a try that is `given_up` is not.
 */
export type DeletionResult = 'deleted' | 'missing' | 'failed' | 'given_up';

/**
 * createMetrics makes the metrics of a worker.
 *
 * @param slots how many jobs the worker can hold, completion windows not counted.
 * @param shared the metrics of the process, of which at most one worker may be a part. Default: those of a
 * process in which nothing else runs.
 */
export function createMetrics(slots: number, shared: ProcessMetrics = createProcessMetrics()): Metrics {
  const { registry } = shared;
  const registers = [registry];
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
  new Gauge({
    name: 'o3q_slots',
    help: 'Jobs that this worker can hold, of all models; as many again within completion windows',
    registers,
  }).set(slots);
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
  const modelMetrics = createModelMetrics(shared);
  return {
    text: shared.text,
    contentType: shared.contentType,
    watch: (reads) => registerSharedGauges(registry, reads),
    watchRedis: shared.watchRedis,
    weakAck: shared.weakAck,
    delivery: (result) => deliveries.inc({ result }),
    deletion: (result) => deletions.inc({ result }),
    of(model, count) {
      held.set(model, count);
      return modelMetrics(model);
    },
  };
}
