import { derived } from '../../src/async/derived.ts';
import type { Models } from '../../src/config/file.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import { limitsOf } from '../../src/quota/limits.ts';
import type { Quotas } from '../../src/quota/quota.ts';
import type { QuotaSignals } from '../reservation/quota-signals.ts';
import type { Source } from '../reservation/reserve.ts';
import { createWindowChoice } from '../windows/choice.ts';

export interface SourcesOptions {
  queue: ModelQueue;
  /** All configured models, because they may share an upstream model. */
  settings: Pick<Models, 'models'>;
  quotas: Quotas;
  quotaSignals: QuotaSignals;
  /** Returns the time of Redis, in Unix milliseconds. */
  now: () => number;
  /** See WorkerOptions. */
  windowScale: number;
}

/**
 * createSources returns a function that returns the sources of a model: its upstream model, then its fallbacks.
 * They are made again when the settings of models have changed.
 *
 * @param onQuota called when one of them may have more of its quota to reserve.
 */
export function createSources(
  { queue, settings, quotas, quotaSignals, now, windowScale }: SourcesOptions,
  onQuota: () => void,
): () => readonly [Source, ...Source[]] {
  const heard = new Set<string>();
  return derived(
    () => settings.models,
    (models) => {
      const { config, upstreamModels } = queue;
      const [first, ...others] = upstreamModels.map((name) => ({
        name,
        quota: quotas.of(name),
        limits: limitsOf(models, name, config),
        windows: createWindowChoice(config, name, now, windowScale),
      }));
      if (first === undefined) throw new Error('expected a model to have an upstream');
      for (const { name, quota } of [first, ...others]) {
        if (heard.has(name)) continue;
        heard.add(name);
        quotaSignals.listen(quota, onQuota);
      }
      return [first, ...others] as const;
    },
  );
}
