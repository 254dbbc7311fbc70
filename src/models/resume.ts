import { shown } from '../errors/input.ts';
import { QueueError } from '../errors/problem.ts';
import { type BoardLimitKind, boardLimitKinds, readBoardLimits } from '../fair-queue/board-limits.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { type QueueAccess, queueNamed } from '../model-queue/queue-access.ts';
import { createQuota } from '../quota/quota.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ResumedModel } from './view.ts';

/**
 * resumeModel ends any pause of a model by hand, and removes the settings that were made for its queue on
 * Bull Board. Jobs of other models that use the same upstream models are sent again too, but the settings of
 * those models' queues stay.
 * @throws {QueueError} `model_not_configured`
 */
export async function resumeModel(
  { redis, prefix, queues }: Pick<QueueAccess, 'redis' | 'prefix' | 'queues'>,
  name: string,
): Promise<ResumedModel> {
  const queue = queueNamed(name, queues);
  if (queue === undefined) {
    const models = [...queues.keys()].join(', ');
    throw new QueueError(
      'model_not_configured',
      `Expected one of ${models}, got ${shown(name)}. Models are configured in o3q.config.json`,
    );
  }
  const { model, upstreamModels } = queue;
  const endedOnBoard = await endBoardLimits(redis, queue);
  const ended = await Promise.all(upstreamModels.map((name) => createQuota(redis, prefix, name).resume()));
  return {
    model,
    upstream_models: [...upstreamModels],
    resumed: ended.includes(true) || endedOnBoard.length > 0,
    ended_on_board: endedOnBoard,
  };
}

/**
 * A crash in between leaves a part of the settings, which a second resume ends. The pause is ended last, so
 * that nothing starts before the limits are gone.
 * @returns the kinds of the settings that were removed.
 */
async function endBoardLimits(redis: RedisClient, { keys, bullmq }: ModelQueue): Promise<BoardLimitKind[]> {
  const kinds = boardLimitKinds(await readBoardLimits(redis, keys));
  if (kinds.includes('concurrency')) await bullmq.removeGlobalConcurrency();
  if (kinds.includes('rate_limit')) {
    await bullmq.removeGlobalRateLimit();
    await bullmq.removeRateLimitKey();
  }
  if (kinds.includes('pause')) await bullmq.resume();
  return kinds;
}
