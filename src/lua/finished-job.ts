import { defineScript } from '../redis/script.ts';
import { deletionQueue } from './deletions.ts';
import { finishedIndexes, freshRun, jobActs, jobState, metadataIndexes, runState } from './job-state.ts';
import { actionPart } from './selections/actions.ts';
import { bullmqParts } from './storage/retention.ts';
import { tenantUse } from './storage/tenant-use.ts';

/** RetryAnswer is what `retryJobScript` did, or why it did nothing. */
export type RetryAnswer = 'missing' | 'completed' | 'unfinished' | 'unsettled' | 'later' | 'retried';

/**
 * retryJobScript begins a new run of a failed or cancelled job, in one step: the job goes back to BullMQ's
 * waiting jobs as `reprocessJob` of bullmq 6.7.0 moves it, and our record is cleared. A worker then puts it
 * into the fair queue. A flow's parent first waits again for the children that have not ended. BullMQ
 * completes no parent that has a failed child (`unsuccessful`), so a retry of the parent forgets these.
 *
 * `endedBefore` (ms, '' for any) is the latest end of a run that may be retried: so an action never retries
 * its own retry. Returns a `RetryAnswer`. 'unsettled': our record says that the job has ended, and BullMQ
 * does not know it yet. 'later': the run has ended later than `endedBefore`. For an action it may be an
 * `ActionRefusal`, and the answer is counted.
 */
export const retryJobScript = defineScript({
  name: 'job.retry',
  keys: [
    ...['wait', 'prioritized', 'failed', 'events', 'meta', 'active', 'marker', 'priorityCounter'],
    ...['waitingChildren', 'indexLive'],
  ],
  args: ['tenant', 'endedBefore'],
  uses: [jobState, runState, freshRun, finishedIndexes, tenantUse, actionPart, jobActs],
  lua: /* lua */ `
-- Moves a child of a flow back to what its parent waits for.
local function waitForChild(parent)
  if not parent or redis.call('EXISTS', parent) == 0 then return end
  if redis.call('ZREM', parent .. ':unsuccessful', job) == 1 or redis.call('HDEL', parent .. ':failed', job) == 1 then
    redis.call('SADD', parent .. ':dependencies', job)
  end
end

local function toWaiting(options)
  redis.call('DEL', job .. ':unsuccessful')
  if redis.call('SCARD', job .. ':dependencies') > 0 then
    redis.call('ZADD', waitingChildren, now, id)
    redis.call('XADD', events, '*', 'event', 'waiting-children', 'jobId', id, 'prev', 'failed')
    return
  end
  local set, priority = redis.call('HMGET', meta, 'paused', 'concurrency'), redis.call('HGET', job, 'priority')
  local held = set[1] or (set[2] and redis.call('LLEN', active) >= tonumber(set[2]))
  if (tonumber(priority) or 0) > 0 then
    local nth = redis.call('INCR', priorityCounter) % 0x100000000
    redis.call('ZADD', prioritized, priority * 0x100000000 + nth, id)
  else
    local isLast = string.find(options or '', '"lifo":true', 1, true)
    redis.call(isLast and 'RPUSH' or 'LPUSH', wait, id)
  end
  if not held then redis.call('ZADD', marker, 0, '0') end
  redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'failed')
end

local function retry()
  local fields = jobFields()
  local state = stateOf(fields)
  if state == 'missing' or state == 'completed' then return state end
  if state ~= 'failed' then return isOpen(job, run, state) and 'unfinished' or 'unsettled' end
  local ended = tonumber(redis.call('HGET', run, 'finished_at') or fields[4])
  if endedBefore ~= '' and ended > tonumber(endedBefore) then return 'later' end
  if redis.call('ZREM', failed, id) == 0 then return 'unsettled' end
  redis.call('HDEL', job, 'finishedOn', 'processedOn', 'failedReason', 'atm', 'ats')
  toWaiting(fields[3])
  waitForChild(redis.call('HGET', job, 'parentKey'))
  clearRun()
  noteAct('retry')
  removeFromFinished(id)
  redis.call('ZADD', indexLive, fields[2], id)
  countLive(tenant, id, job)
  redis.call('PUBLISH', eventLog, 'status')
  return 'retried'
end

local refusal = actionRefusal()
if refusal then return refusal end
local answer = retry()
countTouched(answer)
return answer
`,
});

/**
 * ForgetAnswer is what `forgetJobScript` found; it deletes nothing unless it answers 'deleted' or 'bound'.
 */
export type ForgetAnswer = 'missing' | 'unfinished' | 'later' | 'bound' | 'deleted';

/**
 * forgetJobScript deletes a finished job: BullMQ's job, its record, its response, its event log and its index
 * entries. For each response that the upstream stores it adds a deletion in the same step. The script also
 * checks the job's state in the same step, so that a job that is being retried at this moment keeps the
 * record of its new run.
 *
 * 'bound': the job belongs to another one (a parent, children, a deduplication), so BullMQ must delete its
 * job itself. A crash before that leaves a finished job that no list shows. It can be deleted again, and is
 * removed at the end of its retention. `endedBefore` and what an action may answer are as for
 * `retryJobScript`.
 *
 * Returns a `ForgetAnswer`.
 */
export const forgetJobScript = defineScript({
  name: 'job.forget',
  keys: [
    'run',
    'response',
    'eventLog',
    'indexAll',
    'indexLive',
    'tenantIndex',
    'completed',
    'failed',
    'events',
  ],
  args: ['tenant', 'endedBefore'],
  uses: [jobState, finishedIndexes, metadataIndexes, deletionQueue, tenantUse, bullmqParts, actionPart],
  lua: /* lua */ `
local function forget()
  local fields = jobFields()
  local state = stateOf(fields)
  if state == 'missing' then return 'missing' end
  if state ~= 'completed' and state ~= 'failed' then return 'unfinished' end
  local ended = tonumber(redis.call('HGET', run, 'finished_at') or fields[4])
  if endedBefore ~= '' and ended > tonumber(endedBefore) then return 'later' end
  queueDeletions()
  redis.call('DEL', run, response, eventLog)
  redis.call('PUBLISH', eventLog, 'status')
  for _, index in ipairs({ indexAll, indexLive, tenantIndex }) do redis.call('ZREM', index, id) end
  removeFromFinished(id)
  removeFromMetadata(id, fields[3])
  countRemoved(tenant, id)
  if isBound(job) then return 'bound' end
  removeBullmqJob(job)
  redis.call('ZREM', state == 'completed' and completed or failed, id)
  redis.call('XADD', events, '*', 'event', 'removed', 'jobId', id, 'prev', state)
  return 'deleted'
end

local refusal = actionRefusal()
if refusal then return refusal end
local answer = forget()
countTouched(answer)
return answer
`,
});
