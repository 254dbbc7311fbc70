import { parked } from '../fair-queue/parked.ts';
import { defineScript } from '../redis/script.ts';
import { boardLimits, fairQueueLibrary } from './fair-queue-library.ts';

/**
 * dispatchFairQueue is a dispatcher's step in the fair queue: it starts jobs that have a reservation, and
 * then returns the next jobs in the order in which they would be started.
 *
 * It starts a job by taking it out of the fair queue and putting it into BullMQ's list of waiting jobs, where
 * any worker takes it. In the same step it checks that the job is still in the fair queue, because its caller
 * may have cancelled it, and that Bull Board's settings allow the start. `starts` has for each job: its id,
 * its tenant, the upstream model whose quota it has reserved, how many tokens, its cost, and its completion
 * window ('' for a job that needs none).
 *
 * With `most` above 0 it looks at the queue, and tidies up:
 *
 * - delayed jobs that are due enter the fair queue. A job that needs no reservation goes to BullMQ's workers
 *   at once: its response still runs at the upstream, or its run has ended and BullMQ does not know yet;
 * - jobs whose deadline has passed go to BullMQ's workers without a reservation: a worker can only end such
 *   jobs;
 * - started jobs that no worker may take, because of a setting of Bull Board, go back to their places;
 * - pauses whose time is over end, and entries whose job a BullMQ client has removed are removed too.
 *
 * `weights` is JSON by tenant; a tenant that it does not name has weight 1. `passed` is JSON by tenant: how many
 * jobs at the head of its queue the look leaves out. Returns `{for each of starts 1,
 * or 0 when it may not start}`, and after a look also `{jobs that Bull Board allows to start (-1 for any
 * number), ms until it allows more (0: not known), its settings…}, started jobs that no worker has taken yet,
 * ms until the next delayed job is due, the next pause of a tenant ends or the next deadline passes (-1 for
 * none), {id, tenant, options, bytes of data, tag of its tenant}…`. The order is exact where a tenant's jobs
 * all cost the same. Behind the `most` jobs comes the first job of up to eight further tenants.
 */
export const dispatchFairQueue = defineScript({
  name: 'fair-queue.dispatch',
  keys: ['marker', 'deadlines', 'events'],
  args: ['most', 'jobPrefix', 'runPrefix', 'weights', 'passed'],
  uses: [fairQueueLibrary, parked, boardLimits],
  rest: 'starts',
  lua: /* lua */ `
local weightOf = cjson.decode(weights)
local started = {}
local startRoom = #starts > 0 and boardRoom()
for i = 1, #starts, 6 do
  local id, tenant, upstreamModel = starts[i], starts[i + 1], starts[i + 2]
  local tokens, cost, window = starts[i + 3], tonumber(starts[i + 4]), starts[i + 5]
  started[#started + 1] = 0
  if startRoom >= 1 and isParkedWaiting(id) and redis.call('ZSCORE', tenantQueue(tenant), id) then
    startRoom = startRoom - 1
    local tag = tonumber(redis.call('ZSCORE', queuedTenants, tenant)) or nextTag(tenant)
    local step = cost / (tonumber(weightOf[tenant]) or 1)
    local after = tag + step
    learnCost(tenant, cost)
    redis.call('HSET', clock, 'now', exact(math.max(virtualTime(), tag)), 'next:' .. tenant, exact(after))
    redis.call('HINCRBY', clock, 'starts', 1)
    unpark(id)
    dequeue(tenant, id)
    redis.call('ZADD', queuedTenants, 'XX', exact(after), tenant)
    redis.call('HSET', jobPrefix .. id, 'delay', 0)
    redis.call('HSET', runPrefix .. id, 'reserved_model', upstreamModel, 'reserved_tokens', tokens,
      'tag_step', exact(step))
    if window ~= '' then redis.call('HSET', runPrefix .. id, 'completion_window', window) end
    redis.call('LPUSH', wait, id)
    redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
    started[#started] = 1
  end
end
if #starts > 0 then redis.call('ZADD', marker, 0, '0') end
-- Tags that the virtual time has passed no longer matter, so those of idle tenants are removed.
if #starts > 0 and redis.call('HLEN', clock) > 2000 then
  local all, time = redis.call('HGETALL', clock), virtualTime()
  for i = 1, #all, 2 do
    local isTag = string.sub(all[i], 1, 5) == 'next:'
    if isTag and tonumber(all[i + 1]) <= time then
      redis.call('HDEL', clock, all[i], 'cost:' .. string.sub(all[i], 6))
    end
  end
end
if tonumber(most) == 0 then return { started } end

local MOST_GONE, MOST_DUE, CHUNK, SPARE, MOST_OTHERS = 200, 500, 16, 16, 8
local limit = tonumber(most)
-- The times are compared with the clock of Redis, so that jobs still start when a worker's clock is set back.
local clockOfRedis = redis.call('TIME')
local now = clockOfRedis[1] * 1000 + math.floor(clockOfRedis[2] / 1000)

local overdue = redis.call('ZRANGEBYSCORE', pausedTenants, '-inf', now, 'LIMIT', 0, 100)
for _, tenant in ipairs(overdue) do endPause(tenant) end

local function handToWorkers(id)
  unpark(id)
  redis.call('HSET', jobPrefix .. id, 'delay', 0)
  redis.call('LPUSH', wait, id)
  redis.call('ZADD', marker, 0, '0')
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', deadlines, id)
  if isParked(id) then
    dequeue(tenantIn(redis.call('HGET', jobPrefix .. id, 'opts')), id)
    handToWorkers(id)
  end
end

local function needsNoReservation(runKey)
  local fields = redis.call('HMGET', runKey, 'reserved_model', 'upstream_id', 'background', 'status')
  return fields[1] or (fields[2] and fields[3] == '1') or fields[4]
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, MOST_DUE)) do
  local job = redis.call('HMGET', jobPrefix .. id, 'opts', 'timestamp', 'priority')
  if not isParkedDelayed(id) then
    -- The job was promoted on Bull Board, or was removed by a BullMQ client.
    redis.call('ZREM', due, id)
  elseif needsNoReservation(runPrefix .. id) then handToWorkers(id)
  else
    parkWaiting(id)
    enqueue(tenantIn(job[1]), id, orderOf(job[2], job[3]))
  end
end

-- Puts started jobs back, the newest first: their reservations would end before a worker may take them.
local room, _, waitMs, set = boardRoom()
if room < 0 then
  local excess = -room
  for _, id in ipairs(redis.call('LRANGE', wait, 0, MOST_DUE - 1)) do
    local fields = redis.call('HMGET', runPrefix .. id, 'reserved_model', 'upstream_id', 'status')
    local job = redis.call('HMGET', jobPrefix .. id, 'opts', 'timestamp', 'priority')
    if excess > 0 and job[2] and fields[1] and not fields[2] and not fields[3] then
      redis.call('LREM', wait, 1, id)
      local tenant = tenantIn(job[1])
      redis.call('HDEL', runPrefix .. id, 'reserved_model')
      refundStart(tenant, runPrefix .. id)
      parkWaiting(id)
      enqueue(tenant, id, orderOf(job[2], job[3]))
      excess = excess - 1
    end
  end
end

local goneCount = 0
local leftOut = cjson.decode(passed)

-- Returns an iterator over the jobs in one tenant's queue.
local function jobsOf(tenant)
  local offset, chunk, i = tonumber(leftOut[tenant]) or 0, {}, 0
  return function()
    while true do
      if i >= #chunk then
        chunk, i = redis.call('ZRANGE', tenantQueue(tenant), offset, offset + CHUNK - 1), 0
        if #chunk == 0 then return nil end
        offset = offset + #chunk
      end
      local id = chunk[i + 1]
      i = i + 1
      if isParkedWaiting(id) then return id end
      if redis.call('EXISTS', jobPrefix .. id) == 0 then
        dequeue(tenant, id)
        offset, goneCount = offset - 1, goneCount + 1
        if goneCount >= MOST_GONE then return nil end
      end
    end
  end
end

-- Reads more tenants than the limit, because a tenant's queue may hold only entries without a job.
local first = redis.call('ZRANGE', queuedTenants, 0, limit + SPARE - 1, 'WITHSCORES')
local queues = {}
for i = 1, #first, 2 do
  local tenant = first[i]
  local step = meanCost(tenant) / (tonumber(weightOf[tenant]) or 1)
  local tag = tonumber(first[i + 1])
  local queue = { tenant = tenant, start = tag, tag = tag, step = step, nextJob = jobsOf(tenant) }
  queue.id = queue.nextJob()
  if queue.id then queues[#queues + 1] = queue end
end
-- The time at which this script will have something to do, even if no job is added until then.
local nextAt = math.huge
for _, times in ipairs({ due, deadlines, pausedTenants }) do
  local first = redis.call('ZRANGEBYSCORE', times, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  nextAt = math.min(nextAt, tonumber(first) or math.huge)
end
local board = { room == math.huge and -1 or math.max(0, room), waitMs, unpack(set) }
local reply = { started, board, redis.call('LLEN', wait), nextAt < math.huge and nextAt - now or -1 }
-- Adds the next job of a tenant's queue to the reply.
local function add(queue)
  local jobKey = jobPrefix .. queue.id
  local options = redis.call('HGET', jobKey, 'opts') or '{}'
  reply[#reply + 1] = {
    queue.id, queue.tenant, options, redis.call('HSTRLEN', jobKey, 'data'), exact(queue.start)
  }
  queue.id, queue.tag, queue.isIn = queue.nextJob(), queue.tag + queue.step, true
end
local left = #queues > 0
while #reply - 4 < limit and left do
  local best
  for _, queue in ipairs(queues) do
    if queue.id and (not best or queue.tag < best.tag) then best = queue end
  end
  if best then add(best) else left = false end
end
local others = 0
for _, queue in ipairs(queues) do
  if others < MOST_OTHERS and queue.id and not queue.isIn then
    add(queue)
    others = others + 1
  end
end
return reply
`,
});

/**
 * pauseTenant keeps a tenant's jobs from starting until `untilMs` (Unix milliseconds). The jobs of other
 * tenants start meanwhile.
 */
export const pauseTenant = defineScript({
  name: 'fair-queue.pause-tenant',
  args: ['tenant', 'untilMs', 'reason'],
  uses: [fairQueueLibrary],
  lua: /* lua */ `
redis.call('ZREM', queuedTenants, tenant)
redis.call('ZADD', pausedTenants, untilMs, tenant)
redis.call('HSET', pauseReasons, tenant, reason)
`,
});

/** resumeTenant ends a tenant's pause before its time. Returns 1 when the tenant was paused. */
export const resumeTenant = defineScript({
  name: 'fair-queue.resume-tenant',
  args: ['tenant'],
  uses: [fairQueueLibrary],
  lua: /* lua */ `
if not redis.call('ZSCORE', pausedTenants, tenant) then return 0 end
endPause(tenant)
return 1
`,
});
