import { TERM_LENGTH } from '../../job/fields/metadata.ts';
import { defineLibrary, defineScript } from '../../redis/script.ts';

/**
 * The size limit of one job's event log, in bytes. A reader of a larger answer gets the rest from the
 * response, at the end.
 */
export const MOST_LOG_BYTES = 8 * 1024 * 1024;

/**
 * JOB_BYTES is what a job counts beside its request and its result: about what Redis needs for its entries,
 * its record, and options of up to `OPTIONS_BYTES`. Without it a tenant could fill Redis with requests of one
 * byte. Measured with 5,000 waiting jobs of 130 bytes of data: 2,071 bytes a job, data included.
 */
export const JOB_BYTES = 2048;
/** The options of a job without metadata have 160 to 400 bytes. */
const OPTIONS_BYTES = 512;
/**
 * PAIR_BYTES is what a pair of metadata takes beside its text, which is in the data and in the options: a term
 * in the options, and an entry in an index of its own. Measured with 16 pairs that no other job has: 300.
 */
export const PAIR_BYTES = 300;

/**
 * tenantUse keeps what a tenant has stored in one model: its jobs that have not ended, and the bytes of all
 * its jobs. Both are lists of jobs and not counters, so that writing the same state twice changes nothing.
 * The functions do nothing for jobs without a tenant ('').
 *
 * - `tenantLivePrefix` + tenant: set of the jobs that have not ended.
 * - `tenantStoredPrefix` + tenant: hash of bytes by job. The field '' has their sum, which only `storeBytes`
 *   changes, in the step that changes the bytes of a job.
 */
export const tenantUse = defineLibrary({
  keys: ['tenantLivePrefix', 'tenantStoredPrefix'],
  lua: /* lua */ `
local function waitingCount(tenant) return redis.call('SCARD', tenantLivePrefix .. tenant) end

local function storedBytes(tenant)
  return tonumber(redis.call('HGET', tenantStoredPrefix .. tenant, '')) or 0
end

-- Writes the bytes of a job; 0 removes it.
local function storeBytes(tenant, jobId, bytes)
  if tenant == '' then return end
  local stored = tenantStoredPrefix .. tenant
  local before = tonumber(redis.call('HGET', stored, jobId)) or 0
  if bytes == before then return end
  if bytes > 0 then redis.call('HSET', stored, jobId, bytes) else redis.call('HDEL', stored, jobId) end
  if redis.call('HINCRBY', stored, '', bytes - before) == 0 then redis.call('DEL', stored) end
end

-- Returns the bytes of a job before it has a result: dataBytes, and what its metadata takes beside them.
local function requestBytes(dataBytes, options)
  local terms = string.match(options or '', '"terms":"([^"]*)"')
  local count = terms and (#terms + 1) / ${TERM_LENGTH + 1} or 0
  return ${JOB_BYTES} + dataBytes + math.max(0, #(options or '') - ${OPTIONS_BYTES}) + ${PAIR_BYTES} * count
end

local function storedRequestBytes(jobKey)
  return requestBytes(redis.call('HSTRLEN', jobKey, 'data'), redis.call('HGET', jobKey, 'opts'))
end

-- Counts a job that has not ended, if it is not counted yet. An earlier result of it is gone.
local function countLive(tenant, jobId, jobKey)
  if tenant == '' or redis.call('SADD', tenantLivePrefix .. tenant, jobId) == 0 then return end
  storeBytes(tenant, jobId, storedRequestBytes(jobKey))
end

-- Counts a job that has ended, with its event log and the response that it leaves.
local function countEnded(tenant, jobId, jobKey, runKey, responseBytes)
  if tenant == '' then return end
  local logged = tonumber(redis.call('HGET', runKey, 'event_log_bytes')) or 0
  redis.call('SREM', tenantLivePrefix .. tenant, jobId)
  storeBytes(tenant, jobId, storedRequestBytes(jobKey) + math.min(logged, ${MOST_LOG_BYTES}) + responseBytes)
end

local function countRemoved(tenant, jobId)
  if tenant == '' then return end
  redis.call('SREM', tenantLivePrefix .. tenant, jobId)
  storeBytes(tenant, jobId, 0)
end
`,
});

/**
 * dropRemovedJobs stops counting the jobs of a tenant that no longer exist, because a BullMQ client or Bull
 * Board has removed them. `ids` are the jobs to look at. Returns how many were dropped.
 */
export const dropRemovedJobs = defineScript({
  name: 'tenant-use.drop-removed',
  args: ['tenant', 'jobPrefix'],
  rest: 'ids',
  uses: [tenantUse],
  lua: /* lua */ `
local dropped = 0
for _, id in ipairs(ids) do
  if id ~= '' and redis.call('EXISTS', jobPrefix .. id) == 0 then
    countRemoved(tenant, id)
    dropped = dropped + 1
  end
end
return dropped
`,
});
