import { DELAYED_SCORE, parked, SCORES_PER_MS, WAITING_SCORE } from '../../fair-queue/parked.ts';
import { defineScript } from '../../redis/script.ts';
import { boardLimits, fairQueueLibrary } from '../fair-queue-library.ts';
import { clock } from '../quota/clock.ts';

/**
 * readBacklog reads what waits in the queue of one model, and writes nothing. It reads counts and first
 * entries only: its cost grows with the number of tenants that have waiting jobs, up to a bound, and not
 * with the number of jobs.
 *
 * Returns `{now (ms), jobs in the fair queue, due jobs that are not in it yet, jobs that a worker may take
 * at once, waiting jobs of paused tenants, active jobs, jobs that Bull Board allows to start (-1 for any
 * number), the setting that allows no more ('' for none), the settings…, since when the oldest of these jobs
 * waits (ms; -1 for none), {options, bytes of data} of the first job of the tenants that are next…}`.
 */
export const readBacklog = defineScript({
  name: 'fair-queue.backlog',
  keys: ['prioritized'],
  args: ['jobPrefix'],
  uses: [clock, fairQueueLibrary, parked, boardLimits],
  lua: /* lua */ `
local MOST_PAUSED, MOST_QUEUED, MOST_NEXT = 1000, 200, 8
local inFairQueue = redis.call('ZCOUNT', delayed, ${WAITING_SCORE}, '(' .. ${DELAYED_SCORE})
local dueCount = redis.call('ZCOUNT', due, '-inf', now)
-- Jobs of other BullMQ clients that are due stand in BullMQ's own set. A worker has to put all of these jobs
-- into the fair queue, or has only to take them.
local foreign = redis.call('ZCOUNT', delayed, '-inf', '(' .. exact((now + 1) * ${SCORES_PER_MS}))
local started = redis.call('LLEN', wait)
local takeable = started + redis.call('ZCARD', prioritized) + foreign

local oldest, oldestId = math.huge, nil
local function createdAt(id) return id and tonumber(redis.call('HGET', jobPrefix .. id, 'timestamp')) end
local function noteFirst(tenant)
  local first = redis.call('ZRANGE', tenantQueue(tenant), 0, 0, 'WITHSCORES')
  -- Without a priority the order is the time of creation, and the job itself need not be read.
  if first[1] and tonumber(first[2]) < oldest then oldest, oldestId = tonumber(first[2]), first[1] end
  return first[1]
end

local held = 0
for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', pausedTenants, '(' .. now, '+inf', 'LIMIT', 0, MOST_PAUSED)) do
  held = held + redis.call('ZCARD', tenantQueue(tenant))
end
for _, tenant in ipairs(redis.call('ZRANGE', pausedTenants, 0, MOST_QUEUED - 1)) do noteFirst(tenant) end
local next = {}
for i, tenant in ipairs(redis.call('ZRANGE', queuedTenants, 0, MOST_QUEUED - 1)) do
  local id = noteFirst(tenant)
  if id and i <= MOST_NEXT then
    local jobKey = jobPrefix .. id
    next[#next + 1] = { redis.call('HGET', jobKey, 'opts') or '{}', redis.call('HSTRLEN', jobKey, 'data') }
  end
end
local since = createdAt(oldestId) or math.huge
since = math.min(since, createdAt(redis.call('LINDEX', wait, -1)) or math.huge)
since = math.min(since, tonumber(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)[2]) or math.huge)

local room, kind, _, set = boardRoom()
-- A started job counts as one that a worker holds, so that it has its place already.
room = room == math.huge and -1 or math.max(0, room + started)
return {
  now, inFairQueue, dueCount, takeable, held, redis.call('LLEN', active), room, kind, set,
  since < math.huge and since or -1, unpack(next)
}
`,
});
