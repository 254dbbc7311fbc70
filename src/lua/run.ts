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
export type BeginAnswer = ['lock-lost'] | ['finished' | 'unreserved' | 'open' | 'marked', record: string[]];

/** SaveAnswer is the answer of `saveRun`. `isBooked`: this call was the first to book the usage. */
export type SaveAnswer = 'lock-lost' | ['ok' | 'cancel-requested', isBooked: 0 | 1];

/**
 * FinishAnswer is the answer of `finishRun`: the status that the record now has. `isFirst`: this call wrote it.
 * `isBooked`: this call was the first to book the usage.
 */
export type FinishAnswer = 'lock-lost' | [status: FinishedStatus, isFirst: 0 | 1, isBooked: 0 | 1];

/**
 * progressFields writes `fields` (field, value, field, value, …) into a run's record. An empty value removes
 * its field.
 */
const progressFields = defineLibrary({
  keys: ['run'],
  uses: [earlierResponses],
  lua: /* lua */ `
local function writeProgress(fields)
  local written, removed = {}, {}
  for i = 1, #fields, 2 do
    if fields[i + 1] == '' then
      if fields[i] == 'upstream_id' then keepEarlierResponse() end
      removed[#removed + 1] = fields[i]
    else written[#written + 1], written[#written + 2] = fields[i], fields[i + 1] end
  end
  if #written > 0 then redis.call('HSET', run, unpack(written)) end
  if #removed > 0 then redis.call('HDEL', run, unpack(removed)) end
end
`,
});

/**
 * beginRun is the first step of every attempt: it claims the record for the worker that holds the job's lock,
 * and returns the record. A job that another BullMQ client added gets its index entries here.
 *
 * `attemptsMade` is BullMQ's count; `createdAt` (ms) is when the job was enqueued; `tenant` is '' for none.
 * `fencingToken` is '', or that of a create that is sent at once if nothing has to be decided first: the job
 * has its reservation at `upstreamModel`, has bought nothing in any run, and is not cancelled. The purchase
 * mark is then written in the same step.
 *
 * Returns a `BeginAnswer`. `finished`: the run ended, but a crash kept the worker from reporting it to
 * BullMQ. `unreserved`: the job has not had its turn in the fair queue. `open`: the attempt begins.
 * `marked`: it begins, and its create is marked.
 */
export const beginRun = defineScript({
  name: 'run.begin',
  keys: [
    ...['job', 'lock', 'indexAll', 'indexLive', 'tenants', 'tenantIndex'],
    ...['wait', 'prioritized', 'marker'],
  ],
  args: ['id', 'lockToken', 'createdAt', 'now', 'attemptsMade', 'tenant', 'fencingToken', 'upstreamModel'],
  uses: [runState, freshRun, finishedIndexes, tenantUse],
  lua: /* lua */ `
if redis.call('GET', lock) ~= lockToken then return { 'lock-lost' } end
local start = redis.call('HMGET', job, 'processedOn', 'stc')
-- The stalled count is stored here and not at the end, because BullMQ may recover the job while this attempt
-- still has to write the end: its lock may have run out by then.
local claim = { 'begun', start[1] or '', 'holder', lockToken, 'stalled', start[2] or '0' }
local record, known
local function readRecord()
  record, known = redis.call('HGETALL', run), {}
  for i = 1, #record, 2 do known[record[i]] = record[i + 1] end
end
local function write(field, value)
  claim[#claim + 1], claim[#claim + 2] = field, value
  record[#record + 1], record[#record + 2] = field, value
end
readRecord()
if known.status then
  -- The client repeats this script after a lost reply, and then gets the same answer.
  if not isRetriedByHand(job, run) or isBegun(job, run) then
    redis.call('HSET', run, unpack(claim))
    return { 'finished', record }
  end
  -- The job was retried by hand: this is a new run, with a new purchase. BullMQ continues its count of
  -- attempts; our count starts at 1 again.
  clearRun()
  redis.call('HSET', run, 'attempts_before', attemptsMade)
  removeFromFinished(id)
  readRecord()
end
local isReserved, isCancelled = known.reserved_model, known.cancel_requested_at
if not isReserved then
  redis.call('ZADD', indexAll, 'NX', createdAt, id)
  redis.call('ZADD', indexLive, 'NX', createdAt, id)
  if tenant ~= '' then
    redis.call('SADD', tenants, tenant)
    redis.call('ZADD', tenantIndex, 'NX', createdAt, id)
    countLive(tenant, id, job)
  end
end
local isRunning = known.upstream_id and known.background == '1'
if not (isRunning or isReserved or isCancelled) then
  redis.call('HSET', run, unpack(claim))
  return { 'unreserved', record }
end
if not known.started_at then write('started_at', now) end
write('attempt', tostring(attemptsMade - (known.attempts_before or 0) + 1))
local isMarked = fencingToken ~= '' and isReserved == upstreamModel and not isCancelled
  and not known.upstream_id and not known.purchases and (known.purchase_mark or fencingToken) == fencingToken
if isMarked then
  local mark = { 'purchase_mark', fencingToken, 'purchase_mark_at', now, 'purchase_mark_sender', lockToken }
  for _, value in ipairs(mark) do claim[#claim + 1] = value end
end
redis.call('HSET', run, unpack(claim))
-- BullMQ sets its marker at every start, even when no job is left for a worker that the marker wakes.
if redis.call('LLEN', wait) == 0 and redis.call('ZCARD', prioritized) == 0 then
  redis.call('ZREM', marker, '0')
end
redis.call('PUBLISH', eventLog, 'status')
return { isMarked and 'marked' or 'open', record }
`,
});

/**
 * saveRun writes fields of a record, if the attempt still owns the run: a worker that has lost the job must
 * not change what the next worker writes. In the same step it books the usage of a response that has ended
 * without ending its job.
 *
 * Returns a `SaveAnswer`: `lock-lost` (not written), `cancel-requested` or `ok` (written).
 */
export const saveRun = defineScript({
  name: 'run.save',
  keys: ['lock'],
  args: ['lockToken'],
  rest: 'fields',
  uses: [runOwner, usageBooking, progressFields],
  lua: /* lua */ `
if not ownsRun() then return 'lock-lost' end
local isBooked = bookUsage() and 1 or 0
writeProgress(fields)
local isCancelled = redis.call('HEXISTS', run, 'cancel_requested_at') == 1
return { isCancelled and 'cancel-requested' or 'ok', isBooked }
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
local known = redis.call('HMGET', run,
  'status', 'cancel_requested_at', 'attempt', 'purchases', 'last_entry', 'event_log_bytes')
local status, cancelRequestedAt, attempt, purchases, lastEntryId, bytes = unpack(known)
if status then return 'finished' end
-- The client sends the same entry again when the reply was lost with its connection.
local isRepeated = lastEntryId == entryId
local isAfterHole = not isRepeated and previousEntryId ~= '' and lastEntryId ~= previousEntryId
local size = (isAfterHole and mostBytes or bytes or 0) + (isRepeated and 0 or #newEvents)
for _, value in ipairs({ 'last_entry', entryId, 'event_log_bytes', string.format('%.0f', size) }) do
  fields[#fields + 1] = value
end
writeProgress(fields)
local entry = { 'a', attempt or '1', 'p', purchases or '0' }
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
 * that it belongs to. `newResponse` is JSON, and `attemptTrace` too, '' for none. Returns a `FinishAnswer`.
 */
export const finishRun = defineScript({
  name: 'run.finish',
  keys: ['lock', 'response', 'indexLive', 'eventLog'],
  args: [
    ...['lockToken', 'wantedStatus', 'createdAt', 'ttlSeconds', 'finishedChannel'],
    ...['newUsage', 'summary', 'failure', 'refusal', 'newResponse', 'tenant', 'attemptTrace'],
  ],
  uses: [runState, runOwner, finishedIndexes, outboxLibrary, usageBooking, tenantUse],
  lua: /* lua */ `
if lockToken == '' then
  local isEnded = redis.call('HEXISTS', job, 'finishedOn') == 1
  if not isEnded or redis.call('HEXISTS', job, 'returnvalue') == 1 then return 'lock-lost' end
elseif not ownsRun() then return 'lock-lost' end
local known, cancelRequestedAt, error, finishedAt =
  unpack(redis.call('HMGET', run, 'status', 'cancel_requested_at', 'error', 'finished_at'))
if known then
  -- The cancel set the final status before the upstream reported the usage of the response.
  if known == 'cancelled' and wantedStatus == 'cancelled' and newUsage ~= 'null' then
    redis.call('HSET', run, 'usage', newUsage)
  end
  local isBooked = bookUsage() and 1 or 0
  -- The client repeats this script after a lost reply, with the same time.
  return { known, finishedAt == now and 1 or 0, isBooked }
end
local status = cancelRequestedAt and 'cancelled' or wantedStatus
local fields = { 'usage', newUsage, 'status', status, 'finished_at', now }
local function write(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
if status == 'completed' then
  write('summary', summary)
  redis.call('SET', response, newResponse, 'EX', ttlSeconds)
end
if status == 'failed' then
  write('error', failure)
  if refusal ~= '' then write('refusal', refusal) end
elseif error then redis.call('HDEL', run, 'error') end
if attemptTrace ~= '' then write('attempt_trace', attemptTrace) end
-- BullMQ itself fails a job that it has recovered too often. No attempt has stored the job's last stalled
-- count.
if lockToken == '' then write('stalled', stalledCount(job)) end
redis.call('HSET', run, unpack(fields))
redis.call('EXPIRE', run, ttlSeconds)
redis.call('EXPIRE', eventLog, ttlSeconds)
redis.call('ZREM', indexLive, id)
countEnded(tenant, id, job, run, status == 'completed' and #newResponse or 0)
if status == 'failed' then addToFailed(id, createdAt, cjson.decode(failure).code)
else redis.call('ZADD', status == 'completed' and indexCompleted or indexCancelled, createdAt, id) end
redis.call('PUBLISH', finishedChannel, id)
redis.call('PUBLISH', eventLog, 'status')
local isBooked = bookUsage() and 1 or 0
putIntoOutbox()
return { status, 1, isBooked }
`,
});

/**
 * findUnrecordedEnds finds the jobs in BullMQ's set of failed jobs, `failed`, whose record has no final
 * status. It looks at those that ended between `endedFrom` and `endedUntil` (ms): at most `most` of them, after the
 * first `offset`. Returns how many it has looked at, then the ids.
 */
export const findUnrecordedEnds = defineScript({
  name: 'ends.unrecorded',
  keys: ['failed'],
  args: ['endedFrom', 'endedUntil', 'offset', 'most', 'runPrefix'],
  lua: /* lua */ `
local ids = redis.call('ZRANGEBYSCORE', failed, endedFrom, endedUntil, 'LIMIT', offset, most)
local reply = { #ids }
for _, id in ipairs(ids) do
  if redis.call('HEXISTS', runPrefix .. id, 'status') == 0 then reply[#reply + 1] = id end
end
return reply
`,
});
