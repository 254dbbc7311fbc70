import { defineLibrary, defineScript } from '../../redis/script.ts';
import { fairQueueLibrary } from '../fair-queue-library.ts';
import { finishedIndexes, metadataIndexes } from '../job-state.ts';
import { tenantUse } from './tenant-use.ts';

/** bullmqParts removes BullMQ's own part of a finished job, except for the job's place in its set. */
export const bullmqParts = defineLibrary({
  lua: /* lua */ `
-- What BullMQ may store beside a job (removeJobKeys of bullmq 6.7.0).
local PARTS = { '', ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful' }

-- Returns whether the job belongs to another one, so that BullMQ must remove it.
local function isBound(jobKey)
  local bound = redis.call('HMGET', jobKey, 'parentKey', 'deid')
  return bound[1] or bound[2] or redis.call('EXISTS', jobKey .. ':dependencies') == 1
end

local function removeBullmqJob(jobKey)
  for _, part in ipairs(PARTS) do redis.call('UNLINK', jobKey .. part) end
end
`,
});

/**
 * deleteExpiredJobs deletes the jobs that ended before `endedBefore` (ms), at most `most` of them, the oldest
 * first: the job of BullMQ, its record, its response, its event log and its entries. `ended` is BullMQ's set
 * of completed or of failed jobs.
 *
 * Of a job that belongs to another one (a parent, a deduplication) it deletes only our part: BullMQ must
 * delete the job itself, and the next sweep tries it again. Returns how many jobs it found, then the ids of
 * such jobs.
 */
export const deleteExpiredJobs = defineScript({
  name: 'retention.delete',
  keys: ['ended', 'indexAll', 'indexLive'],
  args: [
    ...['endedBefore', 'most', 'jobPrefix', 'runPrefix', 'responsePrefix', 'eventLogPrefix'],
    'tenantIndexPrefix',
  ],
  uses: [finishedIndexes, metadataIndexes, fairQueueLibrary, tenantUse, bullmqParts],
  lua: /* lua */ `
local ids = redis.call('ZRANGEBYSCORE', ended, '-inf', endedBefore, 'LIMIT', 0, most)
local reply = { #ids }
for _, id in ipairs(ids) do
  local jobKey = jobPrefix .. id
  local options = redis.call('HGET', jobKey, 'opts')
  local tenant = tenantIn(options)
  redis.call('UNLINK', runPrefix .. id, responsePrefix .. id, eventLogPrefix .. id)
  redis.call('ZREM', indexAll, id)
  redis.call('ZREM', indexLive, id)
  redis.call('ZREM', tenantIndexPrefix .. tenant, id)
  removeFromFinished(id)
  removeFromMetadata(id, options)
  countRemoved(tenant, id)
  if isBound(jobKey) then reply[#reply + 1] = id
  else
    removeBullmqJob(jobKey)
    redis.call('ZREM', ended, id)
  end
end
return reply
`,
});
