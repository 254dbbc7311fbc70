import { FAR_MS } from './line.ts';

/**
 * Lua shared by the scripts below: where a job stands, at a cost that does not grow with the backlog.
 * BullMQ's own getState looks a waiting job up in the whole list; the fields and the lock tell the same.
 *
 * `stateOf` gives BullMQ's state in our words. `isOpen` says whether the run may still change: its record has no final
 * status, or BullMQ holds the job for another run although it has one. The latter is a retry by hand (Bull Board,
 * or any BullMQ client). It is told from a recovery after a crash by the stalled counter, which only a recovery raises; and
 * from a worker that broke off while it told BullMQ of a failure or a cancel by BullMQ's reason, which a retry by hand takes away.
 */
export const STATE_LUA = `
local function stateOf(jobKey, lockKey, delayedKey, prioritizedKey, activeKey, id)
  -- BullMQ keeps its own keys (meta, wait, events, ...) beside the jobs: an id that names one of them is no job.
  if redis.call('TYPE', jobKey).ok ~= 'hash' or redis.call('HEXISTS', jobKey, 'timestamp') == 0 then return 'missing' end
  if redis.call('HEXISTS', jobKey, 'finishedOn') == 1 then
    if redis.call('HEXISTS', jobKey, 'returnvalue') == 1 then return 'completed' end
    return 'failed'
  end
  if redis.call('EXISTS', lockKey) == 1 then return 'active' end
  local due = redis.call('ZSCORE', delayedKey, id)
  -- In the line: only BullMQ calls that delayed.
  if due then return tonumber(due) >= ${FAR_MS * 4096} and 'waiting' or 'delayed' end
  if redis.call('ZSCORE', prioritizedKey, id) then return 'waiting' end
  -- A job whose worker died is in the active list without a lock until it is recovered.
  if redis.call('HEXISTS', jobKey, 'processedOn') == 1 and redis.call('LPOS', activeKey, id) then return 'active' end
  return 'waiting'
end

local function stalledCount(jobKey)
  return redis.call('HGET', jobKey, 'stc') or '0'
end

local function isRetriedByHand(runKey, jobKey)
  local run = redis.call('HMGET', runKey, 'status', 'stalled')
  if run[2] ~= stalledCount(jobKey) then return false end
  return run[1] == 'completed' or redis.call('HEXISTS', jobKey, 'failedReason') == 0
end

-- Whether the record has seen the job's latest start.
local function isBegun(runKey, jobKey)
  return redis.call('HGET', runKey, 'begun') == redis.call('HGET', jobKey, 'processedOn')
end

local function isOpen(runKey, jobKey, state)
  if redis.call('HEXISTS', runKey, 'status') == 0 then return true end
  if state == 'completed' or state == 'failed' or not isRetriedByHand(runKey, jobKey) then return false end
  -- Active: has this start of the job written that status, or is it the next one, which has not begun yet?
  return state ~= 'active' or not isBegun(runKey, jobKey)
end

-- For a fresh run of a job: what was spent on it stays known. A create that nobody knows the end of counts as uncertain from now on.
local function clearRun(runKey, responseKey, eventLogKey)
  local kept = redis.call('HMGET', runKey, 'purchases', 'uncertain_purchases', 'submitting', 'cost_nano')
  redis.call('DEL', runKey, responseKey, eventLogKey)
  local uncertain = (tonumber(kept[2]) or 0) + (kept[3] and 1 or 0)
  if kept[1] then redis.call('HSET', runKey, 'purchases', kept[1]) end
  if kept[4] then redis.call('HSET', runKey, 'cost_nano', kept[4]) end
  if uncertain > 0 then redis.call('HSET', runKey, 'uncertain_purchases', uncertain) end
end
`;
