import { Gauge, type Registry } from 'prom-client';
import { upstreamModelsOf } from '../config/file.ts';
import { BOARD_LIMIT_KINDS, boardLimitKinds } from '../fair-queue/board-limits.ts';
import type { MemoryUse } from '../model-queue/redis-memory.ts';
import { PAUSE_REASONS, type QuotaSnapshot } from '../quota/snapshot.ts';
import { shutdownTime } from './catalog.ts';
import type { ModelsSnapshot } from './status.ts';

/**
 * SharedReads read from Redis what all processes share. Each resolves to undefined while Redis cannot be read; its
 * gauges then have no values.
 */
export interface SharedReads {
  models: () => Promise<ModelsSnapshot | undefined>;
  memory: () => Promise<MemoryUse | undefined>;
  /**
   * What is left of today's budget of each tenant that has one, in US dollars. Only workers know it. Default: no
   * gauge.
   */
  budgets?: () => Promise<ReadonlyMap<string, number> | undefined>;
}

/**
 * registerSharedGauges registers the gauges of values that all processes share. The values are read at each
 * scrape. Every process reports the same values, so a query should take the maximum. Producers report them too,
 * so that a fleet without a worker is seen. A gauge that the registry has already stays as it is.
 */
export function registerSharedGauges(registry: Registry, { models, memory, budgets }: SharedReads): void {
  const gaugeOf =
    <Reading>(look: () => Promise<Reading | undefined>) =>
    (name: string, help: string, labelNames: string[], samples: (reading: Reading) => Sample[]): void => {
      if (registry.getSingleMetric(name) !== undefined) return;
      new Gauge({
        name,
        help,
        labelNames,
        registers: [registry],
        async collect() {
          const reading = await look();
          this.reset();
          for (const [labels, value] of reading === undefined ? [] : samples(reading))
            this.set(labels, value);
          // A gauge without labels would tell 0 after the reset. One with labels would throw here.
          if (reading === undefined && labelNames.length === 0) this.remove();
        },
      });
    };
  const gauge = gaugeOf(models);
  const perQuota = (value: (quota: QuotaSnapshot) => number) => (reading: ModelsSnapshot) =>
    [...reading.quotas].map(([name, quota]): Sample => [{ upstream_model: name }, value(quota)]);

  gauge('o3q_waiting_jobs', 'Jobs in the fair queue of a model, of all workers', ['model'], ({ models }) =>
    models.map(({ model, waiting }): Sample => [{ model }, waiting]),
  );
  gauge(
    'o3q_runnable_jobs',
    'Waiting jobs of a model that no limit holds, so that they would start if there were workers enough',
    ['model'],
    ({ models }) => models.map(({ model, runnable }): Sample => [{ model }, runnable.runnable]),
  );
  gauge(
    'o3q_oldest_waiting_seconds',
    'How long ago the oldest waiting job of a model was enqueued; 0: no job waits',
    ['model'],
    ({ models }) => models.map(({ model, oldestWaitingMs }): Sample => [{ model }, oldestWaitingMs / 1000]),
  );
  gauge('o3q_workers', 'Living workers that take the jobs of a model', ['model'], ({ models }) =>
    models.map(({ model, workers }): Sample => [{ model }, workers.count]),
  );
  gauge('o3q_free_slots', 'Jobs of a model that these workers can take now', ['model'], ({ models }) =>
    models.map(({ model, workers }): Sample => [{ model }, workers.freeSlots]),
  );
  gauge(
    'o3q_board_limit',
    '1 while a pause or a limit of this kind is set for a model on Bull Board',
    ['model', 'kind'],
    ({ models }) =>
      models.flatMap(({ model, board }) =>
        BOARD_LIMIT_KINDS.map(
          (kind): Sample => [{ model, kind }, Number(boardLimitKinds(board).includes(kind))],
        ),
      ),
  );
  gauge(
    'o3q_quota_in_flight',
    'Running responses of an upstream model, of all workers',
    ['upstream_model'],
    perQuota(({ inFlight }) => inFlight),
  );
  gauge(
    'o3q_quota_requests',
    'Create requests of the last minute, of all workers',
    ['upstream_model'],
    perQuota(({ requests }) => requests),
  );
  gauge(
    'o3q_quota_tokens',
    'Tokens of the last minute, used or reserved, of all workers',
    ['upstream_model'],
    perQuota(({ tokens }) => tokens),
  );
  gauge(
    'o3q_quota_stopped',
    '1 while an upstream model is paused for this reason; at most one job probes',
    ['upstream_model', 'reason'],
    ({ quotas }) =>
      [...quotas].flatMap(([name, { pauses }]) =>
        PAUSE_REASONS.map((reason): Sample => {
          const holds = pauses.some((pause) => pause.reason === reason);
          return [{ upstream_model: name, reason }, Number(holds)];
        }),
      ),
  );
  gauge(
    'o3q_model_shutdown_timestamp_seconds',
    'Start of the day on which the upstream shuts a model down, if it is announced',
    ['model', 'upstream_model'],
    ({ models, shutdownDates }) =>
      models.flatMap(({ model, config }) =>
        upstreamModelsOf(config).flatMap((name): Sample[] => {
          const date = shutdownDates.get(name);
          return date === undefined ? [] : [[{ model, upstream_model: name }, shutdownTime(date) / 1000]];
        }),
      ),
  );
  if (budgets !== undefined) {
    gaugeOf(budgets)(
      'o3q_budget_remaining_usd',
      'What is left of the daily budget of a tenant, less what running jobs have reserved, in US dollars',
      ['tenant'],
      (left) => [...left].map(([tenant, usd]): Sample => [{ tenant }, usd]),
    );
  }
  const ofMemory = gaugeOf(memory);
  ofMemory(
    'o3q_redis_used_memory_bytes',
    'Memory that Redis uses; in a cluster, the fullest master',
    [],
    ({ used }) => [[{}, used]],
  );
  ofMemory('o3q_redis_max_memory_bytes', 'maxmemory of that Redis; 0 without a limit', [], ({ most }) => [
    [{}, most],
  ]);
}

type Sample = [labels: Record<string, string>, value: number];
