import type { FinishedStatus } from '../job/job.ts';
import { defineLibrary, defineScript } from '../redis/script.ts';
import { earlierResponses } from './deletions.ts';
import { finishedIndexes, freshRun, runState } from './job-state.ts';
import { tenantUse } from './storage/tenant-use.ts';
import { usageBooking } from './usage.ts';
import { outboxLibrary } from './webhooks.ts';
import { runOwner } from './workers/locks.ts';

/**
 * RunAnswer is the answer of a script that writes the record of a run for an attempt:
 *
 * - `ok`: written.
 * - `lock-lost`: another worker holds the job's lock, so this attempt must stop.
 * - `cancel-requested`: a cancel has been requested; the attempt has to end its response.
 * - `finished`: the job has its final status.
 * - `superseded`: a later create has replaced the purchase mark.
 */
export type RunAnswer = 'ok' | 'lock-lost' | 'cancel-requested' | 'finished' | 'superseded';

/** BeginAnswer is the answer of `beginRun`; a record is a flat list: field, value, field, value, … */
export type BeginAnswer = ['lock-lost'] | ['finished' | 'unreserved' | 'open', record: string[]];

/** FinishAnswer is the answer of `finishRun`: the status that the record now has. */
export type FinishAnswer = 'lock-lost' | FinishedStatus;

/**
 * progressFields writes `fields` (field, value, field, value, …) into a run's record. An empty value removes
 * its field.
 */
const progressFields = defineLibrary({
  keys: ['run'],
  uses: [earlierResponses],
  lua: /* lua */ `
local function writeProgress(fields)
  for i = 1, #fields, 2 do
    if fields[i + 1] == '' then
      if fields[i] == 'upstream_id' then keepEarlierResponse() end
      redis.call('HDEL', run, fields[i])
    else redis.call('HSET', run, fields[i], fields[i + 1]) end
  end
end
`,
});

/**
 * beginRun is the first step of every attempt: it claims the record for the worker that holds the job's lock,
 * and returns the record. A job that another BullMQ client added gets its index entries here.
 *
 * `attemptsMade` is BullMQ's count; `createdAt` (ms) is when the job was enqueued; `tenant` is '' for none.
 * Returns a `BeginAnswer`. `finished`: the run ended, but a crash kept the worker from reporting it to
 * BullMQ. `unreserved`: the job has not had its turn in the fair queue. `open`: the attempt begins.
 */
export const beginRun = defineScript({
  name: 'run.begin',
  keys: ['job', 'lock', 'indexAll', 'indexLive', 'tenants', 'tenantIndex'],
  args: ['id', 'lockToken', 'createdAt', 'now', 'attemptsMade', 'tenant'],
  uses: [runState, freshRun, finishedIndexes, tenantUse],
  lua: /* lua */ `
if redis.call('GET', lock) ~= lockToken then return { 'lock-lost' } end
local startedAt = redis.call('HGET', job, 'processedOn')
if redis.call('HEXISTS', run, 'status') == 1 then
  -- The client repeats this script after a lost reply, and then gets the same answer.
  if not isRetriedByHand(job, run) or isBegun(job, run) then
    redis.call('HSET', run, 'stalled', stalledCount(job), 'begun', startedAt, 'holder', lockToken)
    return { 'finished', redis.call('HGETALL', run) }
  end
  -- The job was retried by hand: this is a new run, with a new purchase. BullMQ continues its count of
  -- attempts; our count starts at 1 again.
  clearRun()
  redis.call('HSET', run, 'attempts_before', attemptsMade)
  removeFromFinished(id)
end
redis.call('ZADD', indexAll, 'NX', createdAt, id)
redis.call('ZADD', indexLive, 'NX', createdAt, id)
if tenant ~= '' then
  redis.call('SADD', tenants, tenant)
  redis.call('ZADD', tenantIndex, 'NX', createdAt, id)
  countLive(tenant, id, job)
end
local fields = redis.call('HMGET', run, 'reserved_model', 'upstream_id', 'background', 'cancel_requested_at')
local isReserved, isRunning, isCancelled = fields[1], fields[2] and fields[3] == '1', fields[4]
-- The stalled count is stored here and not at the end, because BullMQ may recover the job while this attempt
-- still has to write the end: its lock may have run out by then.
redis.call('HSET', run, 'begun', startedAt, 'holder', lockToken, 'stalled', stalledCount(job))
if not (isRunning or isReserved or isCancelled) then return { 'unreserved', redis.call('HGETALL', run) } end
redis.call('HSETNX', run, 'started_at', now)
local before = redis.call('HGET', run, 'attempts_before') or 0
redis.call('HSET', run, 'attempt', attemptsMade - before + 1)
redis.call('PERSIST', run)
redis.call('PERSIST', eventLog)
redis.call('PUBLISH', eventLog, 'status')
return { 'open', redis.call('HGETALL', run) }
`,
});

/**
 * saveRun writes fields of a record, if the attempt still owns the run: a worker that has lost the job must
 * not change what the next worker writes. In the same step it books the usage of a response that has ended
 * without ending its job.
 *
 * Returns `lock-lost` (not written), `cancel-requested` or `ok` (written).
 */
export const saveRun = defineScript({
  name: 'run.save',
  keys: ['lock'],
  args: ['lockToken'],
  rest: 'fields',
  uses: [runOwner, usageBooking, progressFields],
  lua: /* lua */ `
if not ownsRun() then return 'lock-lost' end
bookUsage()
writeProgress(fields)
if redis.call('HEXISTS', run, 'cancel_requested_at') == 1 then return 'cancel-requested' end
return 'ok'
`,
});

/**
 * appendToEventLog adds an entry to the event log and writes how far the attempt has followed the stream, in
 * one step. After a crash the next worker resumes the upstream's stream right after the last event in the
 * log. Only the owner of the run may write, and nothing is written after the final status, so that a reader
 * of a finished job's log has read all of it.
 *
 * A log that has reached its size limit takes no more events: its readers get the rest from the response, at
 * the end. A log with a hole, left by a Redis that lost its last second, takes no more events either: readers
 * would take the events after the hole for the continuation of those before it.
 *
 * `entryId` and `previousEntryId` ('' for none) come from the same writer. `newEvents` is JSON or ''.
 * `reason` says why a new attempt begins, or is ''. `mostBytes` limits the log. Returns `lock-lost` or
 * `finished` (not written), `cancel-requested` or `ok` (written).
 */
export const appendToEventLog = defineScript({
  name: 'run.append',
  keys: ['lock', 'eventLog'],
  args: ['lockToken', 'entryId', 'previousEntryId', 'newEvents', 'reason', 'mostBytes'],
  rest: 'fields',
  uses: [runOwner, progressFields],
  lua: /* lua */ `
if not ownsRun() then return 'lock-lost' end
local known = redis.call('HMGET', run, 'status', 'cancel_requested_at', 'attempt', 'purchases', 'last_entry')
local status, cancelRequestedAt, attempt, purchases, lastEntryId = unpack(known)
if status then return 'finished' end
-- The client sends the same entry again when the reply was lost with its connection.
local isRepeated = lastEntryId == entryId
local isAfterHole = not isRepeated and previousEntryId ~= '' and lastEntryId ~= previousEntryId
if isAfterHole then redis.call('HSET', run, 'event_log_bytes', mostBytes) end
redis.call('HSET', run, 'last_entry', entryId)
writeProgress(fields)
local entry = { 'a', attempt or '1', 'p', purchases or '0' }
local size = isRepeated and 0 or redis.call('HINCRBY', run, 'event_log_bytes', #newEvents)
if newEvents ~= '' and size <= tonumber(mostBytes) then
  entry[5], entry[6] = 'e', newEvents
elseif reason ~= '' then
  entry[5], entry[6] = 'r', reason
end
if #entry > 4 and not isRepeated then
  redis.call('XADD', eventLog, '*', unpack(entry))
  redis.call('PUBLISH', eventLog, 'entry')
end
if cancelRequestedAt then return 'cancel-requested' end
return 'ok'
`,
});

/**
 * finishRun writes a final status, once: only for the owner of the run, and never over another final status.
 * A cancel that was requested before this step wins over the result of the attempt. The usage is stored in
 * any case.
 *
 * `lockToken` is '' for a job that BullMQ has failed by itself. `newUsage` is JSON, `null` for unknown.
 * `summary`, `failure` and `refusal` are JSON, '' for none. Each of these is written only with the status
 * that it belongs to. `newResponse` is JSON. Returns a `FinishAnswer`.
 */
export const finishRun = defineScript({
  name: 'run.finish',
  keys: ['lock', 'response', 'indexLive', 'indexCompleted', 'indexFailed', 'indexCancelled', 'eventLog'],
  args: [
    ...['lockToken', 'wantedStatus', 'createdAt', 'ttlSeconds', 'finishedChannel'],
    ...['newUsage', 'summary', 'failure', 'refusal', 'newResponse', 'tenant'],
  ],
  uses: [runState, runOwner, outboxLibrary, usageBooking, tenantUse],
  lua: /* lua */ `
if lockToken == '' then
  local isEnded = redis.call('HEXISTS', job, 'finishedOn') == 1
  if not isEnded or redis.call('HEXISTS', job, 'returnvalue') == 1 then return 'lock-lost' end
elseif not ownsRun() then return 'lock-lost' end
local known = redis.call('HGET', run, 'status')
if known then
  -- The cancel set the final status before the upstream reported the usage of the response.
  if known == 'cancelled' and wantedStatus == 'cancelled' and newUsage ~= 'null' then
    redis.call('HSET', run, 'usage', newUsage)
  end
  bookUsage()
  return known
end
local status = wantedStatus
if redis.call('HEXISTS', run, 'cancel_requested_at') == 1 then status = 'cancelled' end
redis.call('HSET', run, 'usage', newUsage)
if status == 'completed' then
  redis.call('HSET', run, 'summary', summary)
  redis.call('SET', response, newResponse, 'EX', ttlSeconds)
end
if status == 'failed' then
  redis.call('HSET', run, 'error', failure)
  if refusal ~= '' then redis.call('HSET', run, 'refusal', refusal) end
else
  redis.call('HDEL', run, 'error')
end
redis.call('HSET', run, 'status', status, 'finished_at', now)
-- BullMQ itself fails a job that it has recovered too often. No attempt has stored the job's last stalled
-- count.
if lockToken == '' then redis.call('HSET', run, 'stalled', stalledCount(job)) end
redis.call('EXPIRE', run, ttlSeconds)
redis.call('EXPIRE', eventLog, ttlSeconds)
redis.call('ZREM', indexLive, id)
countEnded(tenant, id, job, run, status == 'completed' and #newResponse or 0)
local indexes = { completed = indexCompleted, failed = indexFailed, cancelled = indexCancelled }
redis.call('ZADD', indexes[status], createdAt, id)
redis.call('PUBLISH', finishedChannel, id)
redis.call('PUBLISH', eventLog, 'status')
bookUsage()
putIntoOutbox()
return status
`,
});
