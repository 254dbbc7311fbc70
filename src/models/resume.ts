import { shown } from '../errors/input.ts';
import { QueueError } from '../errors/problem.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { createQuota } from '../quota/quota.ts';
import type { ResumedModel } from './view.ts';

/**
 * resumeModel ends any pause of a model and its fallbacks, by hand. Other models that lead to the same
 * upstream models resume too.
 * @throws {QueueError} `model_not_configured`
 */
export async function resumeModel(
  { redis, prefix, queues }: Pick<QueueAccess, 'redis' | 'prefix' | 'queues'>,
  model: string,
): Promise<ResumedModel> {
  const queue = queues.get(model);
  if (queue === undefined) {
    const models = [...queues.keys()].join(', ');
    throw new QueueError(
      'model_not_configured',
      `Expected one of ${models}, got ${shown(model)}. Models are configured in o3q.config.json`,
    );
  }
  const { upstreamModels } = queue;
  const paused = await Promise.all(upstreamModels.map((name) => createQuota(redis, prefix, name).resume()));
  return { model, upstream_models: [...upstreamModels], resumed: paused.includes(true) };
}
