import { defineScript } from '../redis/script.ts';
import { boardLimits, fairQueueLibrary } from './fair-queue-library.ts';
import { freshRecord, freshRun, jobActs, jobState, runState } from './job-state.ts';
import { actionPart } from './selections/actions.ts';
import { tenantUse } from './storage/tenant-use.ts';
import { outboxLibrary } from './webhooks.ts';
import { livingWorkers } from './workers/heartbeats.ts';

/**
 * readJobScript reads at one instant everything that a view of a job is made of.
 *
 * `weights` is JSON by tenant; a tenant that it does not name has weight 1. `queueStatus` is the hash that
 * dispatchers write. Returns false when there is no such job, else the JSON of `[state, open (1 or 0), due
 * (ms or false), [setting of Bull Board that allows no start ('' for none), its settings…], living workers of
 * the model, fields of the job, record, position, children that it waits for (false: it waits for none)]`.
 * Settings and workers are false for a job that does not wait. A record without fields is `{}`.
 *
 * After a retry by hand whose run has not begun yet, the record is that of the new run. The position is false
 * for a job that is not in the fair queue, else `{jobs before it, how many of these belong to its tenant, why
 * its tenant is paused (or ''), until when, fields of queueStatus…}`.
 */
export const readJobScript = defineScript({
  name: 'job.read',
  keys: ['run', 'queueStatus', 'waitingChildren'],
  args: ['weights'],
  uses: [jobState, runState, freshRecord, fairQueueLibrary, livingWorkers, boardLimits],
  lua: /* lua */ `
local MOST_TENANTS = 200

-- Returns how many jobs start before this one, by the same rule that starts them.
local function positionOf(tenant)
  local rank = redis.call('ZRANK', tenantQueue(tenant), id)
  if not rank then return false end
  local weightOf = cjson.decode(weights)
  local function weight(of) return tonumber(weightOf[of]) or 1 end
  local first = tonumber(redis.call('ZSCORE', queuedTenants, tenant)) or nextTag(tenant)
  local tag = first + rank * meanCost(tenant) / weight(tenant)
  local before = rank
  local others = redis.call('ZRANGE', queuedTenants, 0, MOST_TENANTS - 1, 'WITHSCORES')
  for i = 1, #others, 2 do
    local other, otherTag = others[i], tonumber(others[i + 1])
    if other ~= tenant and otherTag < tag then
      local turns = math.ceil((tag - otherTag) * weight(other) / meanCost(other) - 1e-9)
      before = before + math.min(turns, redis.call('ZCARD', tenantQueue(other)))
    end
  end
  local reason = redis.call('HGET', pauseReasons, tenant) or ''
  local untilMs = redis.call('ZSCORE', pausedTenants, tenant) or '0'
  return { before, rank, reason, untilMs, unpack(redis.call('HGETALL', queueStatus)) }
end

local fields = jobFields()
local state, score = stateOf(fields)
if state == 'missing' then return false end
local record = redis.call('HGETALL', run)
local isFinal = false
for i = 1, #record, 2 do isFinal = isFinal or record[i] == 'status' end
local open = not isFinal or isOpen(job, run, state)
if open and isFinal then record = freshFields() end
local due = state == 'delayed' and dueTime(id)
local board, living, position, children = false, false, false, false
if state == 'waiting' then
  local room, kind, _, set = boardRoom()
  board, living = { room < 1 and kind or '', unpack(set) }, livingCount()
  position = score > 0 and positionOf(tenantIn(fields[3]))
  children = score == 0 and redis.call('ZSCORE', waitingChildren, id)
    and redis.call('SCARD', job .. ':dependencies')
end
-- Redis converts a nested table slowly: one string costs it half of the time.
return cjson.encode({ state, open and 1 or 0, due, board, living, fields, record, position, children })
`,
});

/** ActionRefusal is why a script did not touch a job for an action (`actionPart`). */
export type ActionRefusal = 'fenced' | 'passed';

/** CancelAnswer is what `cancelJobScript` did, or why it did nothing. */
export type CancelAnswer = 'missing' | 'finished' | 'already' | 'changed' | 'cancelled' | 'cancelling';

/**
 * cancelJobScript cancels a job wherever it stands, in one step, so that no worker can take it in between.
 *
 * - A job that is not active is final at once, even if no worker runs. It leaves the fair queue and becomes a
 *   failed job of BullMQ, with BullMQ's own event, so that the board and other BullMQ clients see the end
 *   like any other. Some jobs keep their place, where the next worker finds them and reports the end to
 *   BullMQ: a released job, because its response may still run at the upstream and must be stopped; and a job
 *   of another BullMQ client that has a parent or a deduplication, which only BullMQ can account for. If
 *   such a job waits for children of its own, it goes to the workers at once. A `stalled` value of -1 keeps
 *   such a job final until then.
 * - An active job gets a durable mark, then its worker gets a message.
 *
 * Returns a `CancelAnswer`. 'finished': the job has completed or failed. 'already': the job was cancelled
 * before. 'changed': the job is not in `onlyState`. 'cancelling': the job is active, and its worker was sent
 * a message. For an action it may be an `ActionRefusal`, and the answer is counted.
 *
 * `onlyState` is the state in which alone the job is cancelled, '' for any.
 */
export const cancelJobScript = defineScript({
  name: 'job.cancel',
  keys: ['wait', 'marker', 'waitingChildren', 'failed', 'events', 'indexAll', 'indexLive', 'indexCancelled'],
  args: ['tenant', 'reason', 'ttlSeconds', 'cancelChannel', 'finishedChannel', 'onlyState'],
  uses: [jobState, runState, freshRun, outboxLibrary, fairQueueLibrary, tenantUse, actionPart, jobActs],
  lua: /* lua */ `
local function cancel()
local state = stateOf(jobFields())
if state == 'missing' then return 'missing' end
if not isOpen(job, run, state) then
  return redis.call('HGET', run, 'status') == 'cancelled' and 'already' or 'finished'
end
if state == 'completed' or state == 'failed' then return 'finished' end
if onlyState ~= '' and state ~= onlyState then return 'changed' end
-- The job was retried by hand and has not begun yet: the final status of its earlier run would hide the mark.
if redis.call('HEXISTS', run, 'status') == 1 then clearRun() end
if state == 'active' then
  if redis.call('HSETNX', run, 'cancel_requested_at', now) == 1 then noteAct('cancel') end
  redis.call('PUBLISH', cancelChannel, id)
  return 'cancelling'
end
-- The act of a cancel that was asked for while the job was active is written already.
if redis.call('HEXISTS', run, 'cancel_requested_at') == 0 then noteAct('cancel') end
local removed = 0
local bound = redis.call('HMGET', job, 'parentKey', 'deid')
if not bound[1] and not bound[2] and redis.call('HEXISTS', run, 'upstream_id') == 0 then
  removed = (unpark(id) and 1 or 0) + redis.call('ZREM', prioritized, id)
  if removed == 0 then removed = redis.call('ZREM', waitingChildren, id) end
  if removed == 0 then removed = redis.call('LREM', wait, 1, id) end
elseif redis.call('ZREM', waitingChildren, id) == 1 then
  redis.call('RPUSH', wait, id)
  redis.call('ZADD', marker, 0, '0')
end
local stalled = '-1'
if removed > 0 then
  dequeue(tenant, id)
  stalled = stalledCount(job)
  redis.call('ZADD', failed, now, id)
  redis.call('HSET', job, 'finishedOn', now, 'failedReason', reason)
  redis.call('XADD', events, '*', 'event', 'failed', 'jobId', id, 'failedReason', reason, 'prev', state)
end
redis.call('HDEL', run, 'error')
redis.call('HSET', run, 'status', 'cancelled', 'finished_at', now, 'stalled', stalled)
redis.call('EXPIRE', run, ttlSeconds)
redis.call('EXPIRE', eventLog, ttlSeconds)
local created = redis.call('HGET', job, 'timestamp')
redis.call('ZADD', indexAll, 'NX', created, id)
redis.call('ZREM', indexLive, id)
countEnded(tenant, id, job, run, 0)
redis.call('ZADD', indexCancelled, created, id)
redis.call('PUBLISH', finishedChannel, id)
redis.call('PUBLISH', eventLog, 'status')
putIntoOutbox()
return 'cancelled'
end

local refusal = actionRefusal()
if refusal then return refusal end
local answer = cancel()
countTouched(answer)
return answer
`,
});

/**
 * listBareJobs puts the newest unfinished jobs of a model into its indexes. A job that another BullMQ client
 * added is in no index until it starts, and a job that was retried on Bull Board is listed as finished until
 * it starts.
 *
 * The script looks at `most` jobs of each of BullMQ's sets, because lists are read often and a queue may be
 * long. A job further back is listed when it starts.
 */
export const listBareJobs = defineScript({
  name: 'job.list-bare',
  keys: ['wait', 'prioritized', 'delayed', 'waitingChildren', 'indexAll', 'indexLive'],
  args: ['jobPrefix', 'runPrefix', 'most'],
  uses: [runState],
  lua: /* lua */ `
local last = most - 1
local newest = {
  redis.call('LRANGE', wait, 0, last),
  redis.call('ZREVRANGE', prioritized, 0, last),
  redis.call('ZREVRANGE', delayed, 0, last),
  redis.call('ZREVRANGE', waitingChildren, 0, last),
}
for _, ids in ipairs(newest) do
  for _, id in ipairs(ids) do
    local jobKey = jobPrefix .. id
    local created = not redis.call('ZSCORE', indexLive, id) and redis.call('HGET', jobKey, 'timestamp')
    if created and isOpen(jobKey, runPrefix .. id, 'waiting') then
      redis.call('ZADD', indexAll, 'NX', created, id)
      redis.call('ZADD', indexLive, created, id)
    end
  end
end
`,
});
