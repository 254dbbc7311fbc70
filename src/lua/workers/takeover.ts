import { defineLibrary } from '../../redis/script.ts';

/**
 * takeover moves the active jobs of a worker that sends no heartbeats back into BullMQ's list of waiting
 * jobs, where any worker takes them at once. Without it they wait until their locks run out.
 *
 * The worker may still live: it only stands still, or has lost its connection. So it loses the jobs that cost
 * nothing when it comes back, because its next write then fails:
 *
 * - jobs that have bought nothing: a create needs a purchase mark, and the mark needs the lock;
 * - jobs whose response runs in the background of the upstream, which another worker can follow.
 *
 * A create under way is taken only from a worker that is dead. Its purchase mark then says so, and the next
 * worker need not wait for its sender. A response in the foreground is left to the lock.
 *
 * A job's lock names its worker: its value is the id of BullMQ's worker, a colon and a number. So no command
 * of a job's way has to say which worker holds it.
 *
 * `jobPrefix` and `runPrefix`, followed by a job's id, name BullMQ's hash of the job and our record of its
 * run. A job whose recoveries count for more than `mostRecoveries` fails at its next start, because a job
 * that kills each of its workers must end. Recovering a response that another worker can follow costs
 * nothing, and many workers may die in a row. So such a recovery counts a tenth if the last worker has heard
 * of the response: the job did not kill that worker right away. A job that kills its workers later ends after
 * 100 of them.
 *
 * BullMQ's `stc` counts all recoveries of a job. Its hash has two fields of ours: `o3q.tenths`, how many of
 * them count a tenth, and `o3q.heard_at`, the record's `seen_at` at the last of these.
 */
export const takeover = defineLibrary({
  keys: ['active', 'wait', 'stalled', 'marker', 'meta', 'events'],
  args: ['jobPrefix', 'runPrefix', 'mostRecoveries'],
  lua: /* lua */ `
local LOCKS_AT_ONCE = 500

-- Returns the ids of the active jobs whose lock the worker holds.
local function jobsHeldBy(worker)
  local held = {}
  local owner = worker .. ':'
  local ids = redis.call('LRANGE', active, 0, -1)
  for first = 1, #ids, LOCKS_AT_ONCE do
    local locks = {}
    for i = first, math.min(first + LOCKS_AT_ONCE - 1, #ids) do locks[#locks + 1] = jobPrefix .. ids[i] .. ':lock' end
    for i, token in ipairs(redis.call('MGET', unpack(locks))) do
      if token and string.sub(token, 1, #owner) == owner then held[#held + 1] = ids[first + i - 1] end
    end
  end
  return held
end

-- Returns whether the job can be taken from its worker now.
local function isTakeable(worker, isDead, id)
  local run = runPrefix .. id
  local known = redis.call('HMGET', run, 'purchase_mark', 'purchase_mark_sender', 'upstream_id', 'background')
  local markedToken, sender, responseId, isBackground = unpack(known)
  if responseId then return isBackground == '1' end
  local owner = worker .. ':'
  local isCreating = markedToken and string.sub(sender or '', 1, #owner) == owner
  if isCreating and redis.call('HEXISTS', run, 'purchase_mark_abandoned') == 0 then
    if isDead then redis.call('HSET', run, 'purchase_mark_abandoned', 'dead') end
    return isDead
  end
  return true
end

-- Counts one more recovery. Returns for how much all recoveries of the job count.
local function countRecovery(id)
  local job = jobPrefix .. id
  local all = redis.call('HINCRBY', job, 'stc', 1)
  local responseId, isBackground, status, seenAt =
    unpack(redis.call('HMGET', runPrefix .. id, 'upstream_id', 'background', 'status', 'seen_at'))
  local known = redis.call('HMGET', job, 'o3q.tenths', 'o3q.heard_at')
  local tenths = tonumber(known[1]) or 0
  if responseId and isBackground == '1' and not status and seenAt and seenAt ~= known[2] then
    tenths = tenths + 1
    redis.call('HSET', job, 'o3q.tenths', tenths, 'o3q.heard_at', seenAt)
  end
  return all - tenths + math.floor(tenths / 10)
end

-- Does what BullMQ does with a stalled job (moveStalledJobsToWait of bullmq 6.7.0).
local function recoverJob(id)
  local job = jobPrefix .. id
  redis.call('DEL', job .. ':lock')
  redis.call('LREM', active, 1, id)
  redis.call('SREM', stalled, id)
  if countRecovery(id) > tonumber(mostRecoveries) then
    redis.call('HSET', job, 'defa', 'job stalled more than allowable limit')
  end
  redis.call('RPUSH', wait, id)
  redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'active')
  redis.call('XADD', events, '*', 'event', 'stalled', 'jobId', id)
end

local function wakeBullmq()
  local settings = redis.call('HMGET', meta, 'paused', 'concurrency')
  local most = tonumber(settings[2])
  if settings[1] or most and redis.call('LLEN', active) >= most then return end
  redis.call('ZADD', marker, 0, '0')
end

-- Returns the ids of the jobs that were taken.
local function takeJobsOf(worker, isDead)
  local taken = {}
  for _, id in ipairs(jobsHeldBy(worker)) do
    if isTakeable(worker, isDead, id) then
      recoverJob(id)
      taken[#taken + 1] = id
    end
  end
  if #taken > 0 then wakeBullmq() end
  return taken
end
`,
});
