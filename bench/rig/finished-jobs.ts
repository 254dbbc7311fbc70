import type { Redis } from 'ioredis';
import { keysOf } from '../../src/redis/keys.ts';
import { defineScript } from '../../src/redis/script.ts';
import { OUR_MODEL, OUR_PREFIX } from './rig.ts';

const PER_CALL = 1000;
/**
 * Clones are this far apart in time, in milliseconds. They are older than the jobs that they are copies of.
 */
const APART_MS = 10;

/**
 * cloneJobs copies a finished job inside Redis, with everything that is stored for it. So each copy takes as
 * much room as a job that has really run, and nothing here has to know what is stored.
 */
const cloneJobs = defineScript({
  name: 'bench.clone',
  keys: ['completed', 'indexAll', 'indexCompleted'],
  args: ['source', 'jobPrefix', 'runPrefix', 'responsePrefix', 'eventLogPrefix', 'createdAt', 'stepMs'],
  rest: 'ids',
  lua: `
for i, id in ipairs(ids) do
  local at = tonumber(createdAt) - i * tonumber(stepMs)
  for _, prefix in ipairs({ jobPrefix, runPrefix, responsePrefix, eventLogPrefix }) do
    redis.call('COPY', prefix .. source, prefix .. id)
  end
  redis.call('HSET', jobPrefix .. id, 'timestamp', at, 'processedOn', at, 'finishedOn', at)
  redis.call('ZADD', completed, at, id)
  redis.call('ZADD', indexAll, at, id)
  redis.call('ZADD', indexCompleted, at, id)
end`,
});

/** growTo copies finished jobs until there are `count`. `sources` are the ids of finished jobs. */
export async function growTo(
  redis: Redis,
  sources: readonly string[],
  count: number,
  onProgress: (finished: number) => void,
): Promise<void> {
  const keys = keysOf(OUR_PREFIX, OUR_MODEL);
  const oldest = await redis.zrange(keys.index('all'), '0', '0', 'WITHSCORES');
  const before = Number(oldest[1]);
  let finished = await redis.zcard(keys.index('completed'));
  for (let bulk = 1; finished < count; bulk += 1) {
    const more = Math.min(PER_CALL, count - finished);
    await cloneJobs.run(redis, {
      keys: {
        completed: keys.queue('completed'),
        indexAll: keys.index('all'),
        indexCompleted: keys.index('completed'),
      },
      args: {
        source: sources[bulk % sources.length] ?? '',
        jobPrefix: keys.job(''),
        runPrefix: keys.run(''),
        responsePrefix: keys.response(''),
        eventLogPrefix: keys.eventLog(''),
        createdAt: before - bulk * PER_CALL * APART_MS,
        stepMs: APART_MS,
      },
      rest: Array.from({ length: more }, (_, i) => `job_${String(finished + i).padStart(32, '0')}`),
    });
    finished += more;
    onProgress(finished);
  }
}
