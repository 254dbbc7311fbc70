import { defineLibrary } from '../redis/script.ts';

/**
 * PRIORITY_STEP_MS is the waiting time that one step of priority is worth: a job that has waited longer than
 * the difference goes first, so that no job starves.
 */
export const PRIORITY_STEP_MS = 60_000;

/**
 * fairQueueLibrary is the fair queue of one model in Lua: every job that waits for its turn, in the order of
 * start-time fair queueing. A tenant with waiting jobs has a tag, the virtual time at which its first job is
 * due; each start moves the tenant's next tag on by 1 / weight, and the virtual time to the tag of the
 * started job. A tenant that enqueues ten thousand jobs therefore waits with them behind one job of each
 * other tenant, and no tenant can be starved.
 *
 * A job is in the fair queue when it stands in its tenant's queue and is parked in BullMQ's delayed set as
 * well.
 *
 * Keys: `queuedTenants` (sorted set: tag by tenant), `clock` (hash: virtual time, next tag by tenant),
 * `pausedTenants` (sorted set: end of the pause by tenant), `pauseReasons` (hash by tenant),
 * `tenantQueuePrefix` (beginning of the names of the tenants' own queues).
 */
export const fairQueueLibrary = defineLibrary({
  keys: ['queuedTenants', 'clock', 'pausedTenants', 'pauseReasons', 'tenantQueuePrefix'],
  lua: /* lua */ `
local function exact(number) return string.format('%.17g', number) end
local function tenantQueue(tenant) return tenantQueuePrefix .. ':' .. tenant end

-- The tenant in a job's options, '' for none. Another BullMQ client may have written anything there.
local function tenantIn(options)
  local isJson, parsed = pcall(cjson.decode, options or '')
  local group = isJson and type(parsed) == 'table' and parsed.group
  local tenant = type(group) == 'table' and group.id
  return type(tenant) == 'string' and tenant or ''
end

local function virtualTime() return tonumber(redis.call('HGET', clock, 'now')) or 0 end

local function nextTag(tenant)
  return math.max(virtualTime(), tonumber(redis.call('HGET', clock, 'next:' .. tenant)) or 0)
end

local function enqueueTenant(tenant)
  if redis.call('ZSCORE', pausedTenants, tenant) then return end
  redis.call('ZADD', queuedTenants, 'NX', exact(nextTag(tenant)), tenant)
end

-- The order within a tenant, as text. orderOf in fair-queue.ts says the same in TypeScript.
local function orderOf(createdMs, priority)
  return string.format('%.0f', createdMs + (tonumber(priority) or 0) * ${PRIORITY_STEP_MS})
end

local function enqueue(tenant, jobId, order)
  redis.call('ZADD', tenantQueue(tenant), order, jobId)
  enqueueTenant(tenant)
end

-- Removes a job from its tenant's queue, and a tenant without further jobs from the queue of tenants.
local function dequeue(tenant, jobId)
  local removed = redis.call('ZREM', tenantQueue(tenant), jobId)
  if removed == 1 and redis.call('EXISTS', tenantQueue(tenant)) == 0 then
    redis.call('ZREM', queuedTenants, tenant)
    redis.call('ZREM', pausedTenants, tenant)
    redis.call('HDEL', pauseReasons, tenant)
  end
end

local function endPause(tenant)
  redis.call('ZREM', pausedTenants, tenant)
  redis.call('HDEL', pauseReasons, tenant)
  if redis.call('EXISTS', tenantQueue(tenant)) == 1 then enqueueTenant(tenant) end
end
`,
});
