import { shown } from '../input.ts';
import type { ResumedModel } from '../model-view.ts';
import { QueueError } from '../problem.ts';
import { createQuota } from '../quota/quota.ts';
import { readQuota } from '../quota/quota-reading.ts';
import { upstreamModelsOf } from './models-reading.ts';
import type { QueueCore } from './queue-core.ts';

/** A person says that there is money again. Other models that are sold by the same upstream models go on too. */
export async function resumeModel(
  { redis, prefix, queues }: Pick<QueueCore, 'redis' | 'prefix' | 'queues'>,
  model: string,
): Promise<ResumedModel> {
  const queue = queues.get(model);
  if (queue === undefined) {
    throw new QueueError(
      'model_not_configured',
      `Expected one of ${[...queues.keys()].join(', ')}, got ${shown(model)}. Models are configured in o3q.config.json`,
    );
  }
  const upstreamModels = upstreamModelsOf(queue.config);
  const paused = await Promise.all(
    upstreamModels.map(async (name) => {
      const { stops } = await readQuota(redis, prefix, name);
      await createQuota(redis, prefix, name).report({ what: 'resumed' });
      return stops.some(({ reason }) => reason === 'quota_exhausted');
    }),
  );
  return { model, upstream_models: upstreamModels, resumed: paused.includes(true) };
}
