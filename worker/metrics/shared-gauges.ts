import { Gauge, type Registry } from 'prom-client';
import { upstreamModelsOf } from '../../src/config/file.ts';
import { BOARD_LIMIT_KINDS, boardLimitKinds } from '../../src/fair-queue/board-limits.ts';
import { shutdownTime } from '../../src/models/catalog.ts';
import type { ModelsSnapshot } from '../../src/models/status.ts';
import { PAUSE_REASONS, type QuotaSnapshot } from '../../src/quota/snapshot.ts';

/**
 * registerQuotaGauges registers the gauges of values that all workers share. The values are read at each
 * scrape. Every worker reports the same values, so a query should use one worker or take the maximum.
 * @param look reads the state of all models from Redis; resolves to undefined while Redis cannot be read. The
 * gauges then have no values.
 */
export function registerQuotaGauges(
  registry: Registry,
  look: () => Promise<ModelsSnapshot | undefined>,
): void {
  const gauge = (
    name: string,
    help: string,
    labelNames: string[],
    samples: (reading: ModelsSnapshot) => Sample[],
  ): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        const reading = await look();
        this.reset();
        for (const [labels, value] of reading === undefined ? [] : samples(reading)) this.set(labels, value);
      },
    });
  };
  const perQuota = (value: (quota: QuotaSnapshot) => number) => (reading: ModelsSnapshot) =>
    [...reading.quotas].map(([name, quota]): Sample => [{ upstream_model: name }, value(quota)]);

  gauge('o3q_waiting_jobs', 'Jobs in the fair queue of a model, of all workers', ['model'], ({ models }) =>
    models.map(({ model, waiting }): Sample => [{ model }, waiting]),
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
}

type Sample = [labels: Record<string, string>, value: number];
