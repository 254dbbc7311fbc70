import { parked } from '../fair-queue/parked.ts';
import { defineLibrary } from '../redis/script.ts';
import { earlierResponses } from './deletions.ts';

/**
 * jobState gives BullMQ's state of a job in our words, at a cost that does not grow with the backlog.
 * BullMQ's own getState searches the whole list for a waiting job; here the job's fields and its lock are
 * enough.
 */
export const jobState = defineLibrary({
  keys: ['job', 'lock', 'prioritized', 'active'],
  args: ['id'],
  uses: [parked],
  lua: /* lua */ `
-- Returns name, timestamp, options, finishedOn, failedReason, returnvalue, processedOn. The timestamp is
-- false for what is not a job: BullMQ keeps its own keys (meta, wait, events, ...) beside the jobs, and an id
-- may name one of them.
local function jobFields()
  local fields = redis.pcall('HMGET', job,
    'name', 'timestamp', 'opts', 'finishedOn', 'failedReason', 'returnvalue', 'processedOn')
  if not fields.err then return fields end
  if string.sub(fields.err, 1, 9) == 'WRONGTYPE' then return { false, false } end
  return error(fields.err)
end

-- Returns the state of the job with these fields: 'missing', 'waiting', 'delayed', 'active', 'completed' or
-- 'failed'. The second value is the job's score in BullMQ's delayed set, 0 for none.
local function stateOf(fields)
  if not fields[2] then return 'missing', 0 end
  if fields[4] then return fields[6] and 'completed' or 'failed', 0 end
  if redis.call('EXISTS', lock) == 1 then return 'active', 0 end
  local score = scoreOf(id)
  if score > 0 then return isWaitingScore(score) and 'waiting' or 'delayed', score end
  if redis.call('ZSCORE', prioritized, id) then return 'waiting', 0 end
  -- A job whose worker died stays in the active list without a lock until it is recovered.
  if fields[7] and redis.call('LPOS', active, id) then return 'active', 0 end
  return 'waiting', 0
end
`,
});

/**
 * runState says whether a job's run may still change: its record has no final status, or the job was retried
 * by hand since, on Bull Board or by any BullMQ client. Two facts distinguish a retry by hand from other
 * restarts:
 *
 * - a recovery after a crash raises BullMQ's stalled counter, and a retry by hand does not;
 * - a worker that died while it reported a failure or a cancel to BullMQ leaves BullMQ's failedReason, and a
 *   retry by hand removes it.
 *
 * The functions of this library take the keys of the job's hash and of its run's record, because one script
 * looks at many jobs.
 */
export const runState = defineLibrary({
  lua: /* lua */ `
local function stalledCount(jobKey)
  return redis.call('HGET', jobKey, 'stc') or '0'
end

local function isRetriedByHand(jobKey, runKey)
  local fields = redis.call('HMGET', runKey, 'status', 'stalled')
  if fields[2] ~= stalledCount(jobKey) then return false end
  return fields[1] == 'completed' or redis.call('HEXISTS', jobKey, 'failedReason') == 0
end

-- Returns whether a worker has claimed the record since the job's latest start.
local function isBegun(jobKey, runKey)
  return redis.call('HGET', runKey, 'begun') == redis.call('HGET', jobKey, 'processedOn')
end

local function isOpen(jobKey, runKey, state)
  if redis.call('HEXISTS', runKey, 'status') == 0 then return true end
  if state == 'completed' or state == 'failed' or not isRetriedByHand(jobKey, runKey) then return false end
  -- The job is active. Either its latest start wrote the final status, or it was started again and the worker
  -- of that start has not claimed the record yet.
  return state ~= 'active' or not isBegun(jobKey, runKey)
end
`,
});

/**
 * freshRecord gives the record with which a new run of a job begins: what was spent on the job stays known,
 * and who has cancelled and retried it.
 */
export const freshRecord = defineLibrary({
  keys: ['run'],
  uses: [earlierResponses],
  lua: /* lua */ `
-- Returns a flat list: field, value, ... A create whose outcome is unknown counts as an uncertain purchase
-- from now on.
local function freshFields()
  local kept = redis.call('HMGET', run, 'purchases', 'uncertain_purchases', 'purchase_mark', 'cost_nano',
    'simulated', 'estimates', 'uncertain_mark', 'acts', 'saved_nano')
  local uncertain = (tonumber(kept[2]) or 0) + (kept[3] and 1 or 0)
  local fields = {}
  local function keep(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  local bought = boughtResponses()
  if #bought > 0 then keep('earlier_ids', cjson.encode(bought)) end
  if kept[1] then keep('purchases', kept[1]) end
  if kept[4] then keep('cost_nano', kept[4]) end
  if kept[5] then keep('simulated', kept[5]) end
  if kept[6] then keep('estimates', kept[6]) end
  if kept[8] then keep('acts', kept[8]) end
  if kept[9] then keep('saved_nano', kept[9]) end
  if uncertain > 0 then keep('uncertain_purchases', tostring(uncertain)) end
  local counted = kept[3] or kept[7]
  if counted then keep('uncertain_mark', counted) end
  return fields
end
`,
});

/** freshRun begins a new run of a job: it clears what the earlier run left in Redis. */
export const freshRun = defineLibrary({
  keys: ['response', 'eventLog'],
  uses: [freshRecord],
  lua: /* lua */ `
local function clearRun()
  local fields = freshFields()
  redis.call('DEL', run, response, eventLog)
  if #fields > 0 then redis.call('HSET', run, unpack(fields)) end
end
`,
});

/** MOST_ACTS is how many acts a record keeps: the latest ones. */
const MOST_ACTS = 20;

/**
 * jobActs writes into the record of a job who has cancelled or retried it, in the same step that does so: no
 * crash leaves an act without its entry. The entries of one job are read with its record, however long the
 * audit log is. They end with the record.
 *
 * `acts` is the JSON of a list of `JobAct`, oldest first. `actor` is the tenant ('': no key), `actionId` the
 * long action ('': none).
 */
export const jobActs = defineLibrary({
  keys: ['run'],
  args: ['now', 'actor', 'actionId'],
  lua: /* lua */ `
local function noteAct(what)
  local acts = cjson.decode(redis.call('HGET', run, 'acts') or '[]')
  acts[#acts + 1] = {
    at = tonumber(now),
    what = what,
    by = actor ~= '' and actor or cjson.null,
    action = actionId ~= '' and actionId or cjson.null,
  }
  while #acts > ${MOST_ACTS} do table.remove(acts, 1) end
  redis.call('HSET', run, 'acts', cjson.encode(acts))
end
`,
});

/**
 * finishedIndexes are the indexes of finished jobs: by status, and of failed jobs by their code. The codes
 * are those of src/errors/failure.ts, so there are few.
 */
export const finishedIndexes = defineLibrary({
  keys: ['indexCompleted', 'indexFailed', 'indexCancelled', 'errorIndexPrefix', 'errorCodes'],
  lua: /* lua */ `
local function addToFailed(jobId, created, code)
  redis.call('ZADD', indexFailed, created, jobId)
  redis.call('SADD', errorCodes, code)
  redis.call('ZADD', errorIndexPrefix .. code, created, jobId)
end

local function removeFromFinished(jobId)
  redis.call('ZREM', indexCompleted, jobId)
  redis.call('ZREM', indexCancelled, jobId)
  if redis.call('ZREM', indexFailed, jobId) == 0 then return end
  for _, code in ipairs(redis.call('SMEMBERS', errorCodes)) do
    redis.call('ZREM', errorIndexPrefix .. code, jobId)
  end
end
`,
});

/**
 * metadataIndexes are the indexes of jobs by their metadata. The options of a job name its terms, so that
 * they can be removed with the job. Jobs of other BullMQ clients have no terms.
 */
export const metadataIndexes = defineLibrary({
  keys: ['metadataIndexPrefix'],
  lua: /* lua */ `
local function addToMetadata(jobId, created, terms)
  for term in string.gmatch(terms, '%S+') do redis.call('ZADD', metadataIndexPrefix .. term, created, jobId) end
end

-- Most jobs have no metadata, and their options need not be decoded.
local function removeFromMetadata(jobId, options)
  if not options or not string.find(options, '"terms":', 1, true) then return end
  local isJson, parsed = pcall(cjson.decode, options)
  local terms = isJson and type(parsed) == 'table' and parsed.terms
  if type(terms) ~= 'string' then return end
  for term in string.gmatch(terms, '%S+') do redis.call('ZREM', metadataIndexPrefix .. term, jobId) end
end
`,
});
