import { defineLibrary, defineScript } from '../../redis/script.ts';

/**
 * livingWorkers counts the workers of a model whose heartbeat has not expired, by the clock of Redis.
 *
 * Keys: `workers` (sorted set: the ends of the heartbeats in Unix milliseconds, by worker).
 */
export const livingWorkers = defineLibrary({
  keys: ['workers'],
  lua: /* lua */ `
local function redisTimeMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function livingIds() return redis.call('ZRANGEBYSCORE', workers, '(' .. redisTimeMs(), '+inf') end
local function livingCount() return redis.call('ZCOUNT', workers, '(' .. redisTimeMs(), '+inf') end
`,
});

/**
 * beatWorker writes the heartbeat of one worker for one model, and removes the workers whose heartbeat has
 * expired. `details` is JSON. Both keys expire with the last heartbeat. docs/ARCHITECTURE.md has the states.
 */
export const beatWorker = defineScript({
  name: 'workers.beat',
  keys: ['workerDetails'],
  args: ['worker', 'details', 'liveMs'],
  uses: [livingWorkers],
  lua: /* lua */ `
local nowMs = redisTimeMs()
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', nowMs)) do
  redis.call('ZREM', workers, expired)
  redis.call('HDEL', workerDetails, expired)
end
redis.call('ZADD', workers, nowMs + liveMs, worker)
redis.call('HSET', workerDetails, worker, details)
redis.call('PEXPIRE', workers, liveMs)
redis.call('PEXPIRE', workerDetails, liveMs)
`,
});

/** leaveWorkers removes a worker that takes no more jobs. */
export const leaveWorkers = defineScript({
  name: 'workers.leave',
  keys: ['workers', 'workerDetails'],
  args: ['worker'],
  lua: /* lua */ `
redis.call('ZREM', workers, worker)
redis.call('HDEL', workerDetails, worker)
`,
});

/** readWorkers returns the details of the living workers, as they were passed to `beatWorker`. */
export const readWorkers = defineScript({
  name: 'workers.read',
  keys: ['workerDetails'],
  uses: [livingWorkers],
  lua: /* lua */ `
local ids = livingIds()
return #ids == 0 and {} or redis.call('HMGET', workerDetails, unpack(ids))
`,
});
