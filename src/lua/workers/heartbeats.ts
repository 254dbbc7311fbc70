import { defineLibrary, defineScript } from '../../redis/script.ts';
import { takeover } from './takeover.ts';

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
 * beatWorker writes the heartbeat of one worker for one model. In the same step it takes jobs from workers
 * that send no heartbeats any more: each worker looks after all others, and only one of them finds a job. It
 * returns the ids of these jobs. docs/ARCHITECTURE.md has the states of a worker.
 *
 * `worker` is the id of BullMQ's worker. `details` is JSON. The other arguments are times in milliseconds:
 *
 * - `liveMs`: a heartbeat counts for so long; `keepMs`: and its entry is removed so long after that.
 * - `goneMs`: after so long without a heartbeat a worker loses what it can lose without harm, if its
 *   connections are closed: its process has probably ended.
 * - `silentMs`: the same for a worker whose connection is open, or cannot be seen.
 * - `deadMs`: after so long with closed connections a worker counts as dead. It can lose a create under way.
 *
 * When no heartbeat came for a while, Redis was away, or all workers stood still. The times above then begin
 * anew, and a worker that has not been heard since is never taken for dead. The only other worker of a model
 * may just be slow. So it says when it sent its last heartbeat: `sentAfterMs` ago by its own clock, 0 for the
 * first one. It is a pause if heartbeats were away for `awayMs` longer than that, or for `pauseMs` in any
 * case.
 *
 * The kernel closes the connections of a process that has died. A process that stands still keeps them. A
 * worker shows its connection by a subscription to a channel of its own: `workers`, a colon and its id.
 */
export const beatWorker = defineScript({
  name: 'workers.beat',
  keys: ['workerDetails'],
  args: [
    ...['worker', 'details', 'sentAfterMs'],
    ...['liveMs', 'keepMs', 'goneMs', 'silentMs', 'deadMs', 'awayMs', 'pauseMs'],
  ],
  uses: [livingWorkers, takeover],
  lua: /* lua */ `
local nowMs = redisTimeMs()
local latest = redis.call('ZREVRANGE', workers, 0, 0, 'WITHSCORES')[2]
local quietMs = latest and nowMs - (latest - liveMs) or math.huge
if quietMs - sentAfterMs > tonumber(awayMs) or quietMs > tonumber(pauseMs) then
  redis.call('HSET', workerDetails, 'resumed_at', nowMs)
end
redis.call('ZADD', workers, nowMs + liveMs, worker)
redis.call('HSET', workerDetails, worker, details)
redis.call('PEXPIRE', workers, liveMs + keepMs)
redis.call('PEXPIRE', workerDetails, liveMs + keepMs)

-- Whether Redis has no connection of a worker that had one at its last heartbeat. Redis does not let every
-- user ask, and then the answer is no.
local function isDisconnected(other)
  local known = redis.call('HGET', workerDetails, other)
  if not known or not cjson.decode(known).watched then return false end
  local subscribers = redis.pcall('PUBSUB', 'NUMSUB', workers .. ':' .. other)
  return subscribers[2] == 0
end

local function forget(other)
  redis.call('ZREM', workers, other)
  redis.call('HDEL', workerDetails, other, 'taken_from:' .. other)
end

local taken = {}
local function take(other, isDead)
  for _, id in ipairs(takeJobsOf(other, isDead)) do taken[#taken + 1] = id end
end

local late = redis.call('ZRANGEBYSCORE', workers, '-inf', '(' .. (nowMs + liveMs - goneMs), 'WITHSCORES')
local resumedAt = #late > 0 and tonumber(redis.call('HGET', workerDetails, 'resumed_at')) or 0
for i = 1, #late, 2 do
  local other, lastBeatAt = late[i], late[i + 1] - liveMs
  local silenceMs = nowMs - math.max(lastBeatAt, resumedAt)
  if nowMs > lastBeatAt + liveMs + keepMs then
    forget(other)
  elseif silenceMs > tonumber(goneMs) then
    local isGone = isDisconnected(other)
    if isGone and silenceMs > tonumber(deadMs) and lastBeatAt >= resumedAt then
      take(other, true)
      forget(other)
    elseif isGone or silenceMs > tonumber(silentMs) then
      -- Its jobs are looked through once for each silence.
      local mark = 'taken_from:' .. other
      if redis.call('HGET', workerDetails, mark) ~= late[i + 1] then
        redis.call('HSET', workerDetails, mark, late[i + 1])
        take(other, false)
      end
    end
  end
end
return taken
`,
});

/** leaveWorkers removes a worker that takes no more jobs. */
export const leaveWorkers = defineScript({
  name: 'workers.leave',
  keys: ['workers', 'workerDetails'],
  args: ['worker'],
  lua: /* lua */ `
redis.call('ZREM', workers, worker)
redis.call('HDEL', workerDetails, worker, 'taken_from:' .. worker)
if redis.call('EXISTS', workers) == 0 then redis.call('DEL', workerDetails) end
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
