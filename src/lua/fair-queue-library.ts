import { defineLibrary } from '../redis/script.ts';

/**
 * PRIORITY_STEP_MS is how much waiting time one step of priority is worth. A job that is n steps lower goes
 * first once it has waited n × PRIORITY_STEP_MS longer than the other, so no job starves.
 */
export const PRIORITY_STEP_MS = 60_000;

/**
 * COST_WITHOUT_LIMIT is the cost of a job whose upstream model has no limit. Costs are in minutes of a limit:
 * 0.01 is a hundredth of what may be sent in a minute.
 */
export const COST_WITHOUT_LIMIT = 0.001;

/**
 * fairQueueLibrary is the fair queue of one model in Lua: every job that waits for its turn, in the order of
 * start-time fair queueing. A tenant with waiting jobs has a tag, the virtual time at which its first job is
 * due. Each start moves the tenant's next tag on by cost / weight, and moves the virtual time on to the tag
 * of the started job; quotaReserve says what a job costs. The ten thousand jobs of one tenant therefore delay
 * another tenant's first job by one start, and no tenant can be starved. The costs of jobs that have not
 * started are not known: positions are computed with the mean cost of each tenant's jobs.
 *
 * A started job that goes back without having bought anything will start again, so its first start is
 * refunded: the run's record keeps how far the start has moved the tag (`tag_step`) until a response is
 * bought.
 *
 * A job is in the fair queue when it stands in its tenant's queue and is also parked in BullMQ's delayed set.
 *
 * Keys: `queuedTenants` (sorted set: tag by tenant), `clock` (hash: `now`, the virtual time; `starts`;
 * `next:<tenant>`, that tenant's next tag; `cost:<tenant>` and `cost`, the mean costs of that tenant's jobs
 * and of all jobs), `pausedTenants` (sorted set: end of the pause by tenant), `pauseReasons` (hash by
 * tenant), `tenantQueuePrefix` (prefix of the names of the tenants' own queues).
 */
export const fairQueueLibrary = defineLibrary({
  keys: ['queuedTenants', 'clock', 'pausedTenants', 'pauseReasons', 'tenantQueuePrefix'],
  lua: /* lua */ `
local function exact(number) return string.format('%.17g', number) end
local function tenantQueue(tenant) return tenantQueuePrefix .. ':' .. tenant end

-- Returns the tenant in a job's options, '' for none. Another BullMQ client may have written anything there.
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

-- Returns the mean cost of a tenant's jobs, or of all jobs where it is not known.
local function meanCost(tenant)
  local known = redis.call('HMGET', clock, 'cost:' .. tenant, 'cost')
  return tonumber(known[1]) or tonumber(known[2]) or ${COST_WITHOUT_LIMIT}
end

-- Adds the cost of a started job to the means.
local function learnCost(tenant, cost)
  for _, field in ipairs({ 'cost', 'cost:' .. tenant }) do
    local mean = tonumber(redis.call('HGET', clock, field)) or cost
    redis.call('HSET', clock, field, exact(mean + (cost - mean) / 10))
  end
end

-- Moves a tenant's tag back by what a start has moved it on, for a job that has used nothing of the quota. A
-- tag never falls below the virtual time: a refund that comes late gives its tenant no advantage over the
-- tenants that have waited meanwhile.
local function refundTag(tenant, step)
  local queued = redis.call('ZSCORE', queuedTenants, tenant)
  local tag = tonumber(queued or redis.call('HGET', clock, 'next:' .. tenant))
  if not tag then return end
  local refunded = exact(math.min(tag, math.max(virtualTime(), tag - step)))
  redis.call('HSET', clock, 'next:' .. tenant, refunded)
  if queued then redis.call('ZADD', queuedTenants, refunded, tenant) end
end

-- Refunds the start of a job that goes back. A response that was bought has used the quota, and a create
-- whose outcome is unknown may have.
local function refundStart(tenant, runKey)
  local fields = redis.call('HMGET', runKey, 'tag_step', 'purchase_mark')
  redis.call('HDEL', runKey, 'tag_step')
  if fields[1] and not fields[2] then refundTag(tenant, tonumber(fields[1])) end
end

local function enqueueTenant(tenant)
  if redis.call('ZSCORE', pausedTenants, tenant) then return end
  redis.call('ZADD', queuedTenants, 'NX', exact(nextTag(tenant)), tenant)
end

-- Returns the order within a tenant, as text. orderOf in fair-queue.ts does the same in TypeScript.
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

/**
 * boardLimits computes how many jobs may start under the settings of Bull Board, by the same rules as
 * BullMQ's own fetch of a job (moveToActive of bullmq 6.7.0). A started job that no worker has taken yet
 * counts as one that a worker holds.
 *
 * - `paused`, `concurrency`, `max` with `duration`: written and ended by Bull Board or a BullMQ client. A
 *   resume by hand also ends them, one after the other: a crash in between leaves the rest, which a second
 *   resume ends.
 * - `limiter`, the starts in the current duration: written by BullMQ when a worker takes a job; ended by its
 *   expiry or by a resume.
 *
 * Keys: `meta` (BullMQ's hash of the queue's settings), `limiter` (BullMQ's count of starts), `active`,
 * `wait`.
 */
export const boardLimits = defineLibrary({
  keys: ['meta', 'limiter', 'active', 'wait'],
  lua: /* lua */ `
-- Returns how many more jobs may start (a negative number: how many started jobs have to go back), which
-- setting allows no more ('' for none), in how many ms the next job may start (0: not known), and the
-- settings.
local function boardRoom()
  local set = redis.call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration')
  local started = redis.call('LLEN', wait)
  if set[1] then return -started, 'pause', 0, set end
  local room, kind, waitMs = math.huge, '', 0
  local concurrency, max = tonumber(set[2]), tonumber(set[3])
  if concurrency then
    room, kind = concurrency - redis.call('LLEN', active) - started, 'concurrency'
  end
  if max then
    local ttlMs = redis.call('PTTL', limiter)
    local used = ttlMs > 0 and tonumber(redis.call('GET', limiter)) or 0
    if max - used - started < room then
      room, kind, waitMs = max - used - started, 'rate_limit', math.max(0, ttlMs)
    end
  end
  return room, kind, waitMs, set
end
`,
});
