import { Counter, Gauge, Registry } from 'prom-client';
import type { ModelsSnapshot } from '../../src/models/status.ts';
import type { Outcome } from '../attempt/outcome.ts';
import type { PurchaseEvent } from '../attempt/purchase.ts';
import { registerQuotaGauges } from './shared-gauges.ts';

/** What one worker process counts; each worker has its own, so that two in one process do not mix. */
export interface Metrics {
  /** In the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  /** @param held how many jobs of the model this worker holds right now. */
  of(model: string, held: () => number): ModelMetrics;
  /** From now on also what all workers share. @param look undefined: it cannot be known right now. */
  watch(look: () => Promise<ModelsSnapshot | undefined>): void;
  /** One try to deliver a webhook. */
  delivery(result: DeliveryResult): void;
}

/** `failed`: to be tried again. `given_up`: nobody tries again. */
export type DeliveryResult = 'delivered' | 'failed' | 'given_up';

export interface ModelMetrics {
  purchase(what: PurchaseEvent): void;
  outcome(kind: Outcome['kind']): void;
  /** A create was answered 429, with a time to come back. */
  throttled(): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counters: Record<PurchaseEvent, Counter> = {
    bought: new Counter({
      name: 'o3q_purchases_total',
      help: 'Responses that were bought from the upstream',
      labelNames: ['model'],
      registers,
    }),
    adopted: new Counter({
      name: 'o3q_adoptions_total',
      help: 'Responses that another attempt had bought, and that were taken over instead of bought again',
      labelNames: ['model'],
      registers,
    }),
    uncertain: new Counter({
      name: 'o3q_uncertain_purchases_total',
      help: 'Create requests of which nobody will know whether they were bought',
      labelNames: ['model'],
      registers,
    }),
  };
  const outcomes = new Counter({
    name: 'o3q_attempts_total',
    help: 'Attempts that have ended here, by what became of them',
    labelNames: ['model', 'outcome'],
    registers,
  });
  const throttled = new Counter({
    name: 'o3q_throttled_total',
    help: 'Create requests that the upstream has refused with 429 because there were too many',
    labelNames: ['model'],
    registers,
  });
  const deliveries = new Counter({
    name: 'o3q_webhook_deliveries_total',
    help: 'Tries to deliver a webhook to a caller, by what became of them',
    labelNames: ['result'],
    registers,
  });
  for (const result of ['delivered', 'failed', 'given_up'] satisfies DeliveryResult[])
    deliveries.inc({ result }, 0);
  const held = new Map<string, () => number>();
  new Gauge({
    name: 'o3q_active_jobs',
    help: 'Jobs that this worker holds',
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
    delivery: (result) => deliveries.inc({ result }),
    of(model, count) {
      held.set(model, count);
      // A counter that is not there yet cannot be told from one that nobody looks at.
      for (const counter of [...Object.values(counters), throttled]) counter.inc({ model }, 0);
      return {
        purchase: (what) => counters[what].inc({ model }),
        outcome: (kind) => outcomes.inc({ model, outcome: kind }),
        throttled: () => throttled.inc({ model }),
      };
    },
  };
}
