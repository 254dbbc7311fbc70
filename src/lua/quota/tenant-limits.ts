import { defineScript } from '../../redis/script.ts';
import { clock } from './clock.ts';

/**
 * tenantReserve reserves slots in flight for jobs of a tenant, in their order, and what the jobs are expected
 * to cost. It stops at the first job for which there is no slot. The worker that runs the script judges
 * whether the cost is within the budget. It reads the spending after this script, so that a job that ends now
 * may count twice but is never missed. A job that has a slot keeps it, and the cost reserved with it.
 *
 * A cost with a `w` behind it is that of a response within a completion window, which needs no slot.
 *
 * `maxInFlight` is '' for no limit. `leaseMs` is '' to reserve nothing and only look. `jobs` has for each job
 * its id and its cost in nano-dollars.
 *
 * Returns `{reserved for all other jobs (nano-dollars), end of the leases (Unix ms), answers…}`. There is an
 * answer for each job that has a slot: 1 for a new one, 0 when it had one before.
 */
export const tenantReserve = defineScript({
  name: 'tenant.reserve',
  keys: ['leases', 'costs'],
  args: ['maxInFlight', 'leaseMs'],
  uses: [clock],
  rest: 'jobs',
  lua: /* lua */ `
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', leases, id)
  redis.call('HDEL', costs, id)
end
local reserved, windowed = 0, 0
for _, cost in ipairs(redis.call('HVALS', costs)) do
  local nano, mark = string.match(cost, '^(.-)(w?)$')
  reserved, windowed = reserved + tonumber(nano), windowed + #mark
end
local slots, isReal = tonumber(maxInFlight), leaseMs ~= ''
local untilMs = isReal and now + leaseMs or 0
local inFlight = redis.call('ZCARD', leases) - windowed
local reply = { string.format('%.0f', reserved), untilMs }
for i = 1, #jobs, 2 do
  local id, cost = jobs[i], jobs[i + 1]
  local isNew = not redis.call('ZSCORE', leases, id)
  local needsSlot = string.sub(cost, -1) ~= 'w'
  if isNew and needsSlot and slots and inFlight >= slots then break end
  if isReal then
    -- An existing slot is prolonged too, so that the dispatcher that made it does not give it back.
    redis.call('ZADD', leases, 'GT', untilMs, id)
    if isNew then redis.call('HSET', costs, id, cost) end
  end
  if isNew and needsSlot then inFlight = inFlight + 1 end
  reply[#reply + 1] = isNew and 1 or 0
end
return reply
`,
});

/**
 * tenantRenew renews the leases of a tenant's jobs. `jobs` has for each job its id and the length of its
 * lease in milliseconds, with a `w` behind it for a response within a completion window: such a job needs no
 * slot, even when its lease had ended.
 */
export const tenantRenew = defineScript({
  name: 'tenant.renew',
  keys: ['leases', 'costs'],
  uses: [clock],
  rest: 'jobs',
  lua: /* lua */ `
for i = 1, #jobs, 2 do
  local ms, mark = string.match(jobs[i + 1], '^(%d+)(w?)$')
  redis.call('ZADD', leases, now + ms, jobs[i])
  if mark == 'w' then redis.call('HSETNX', costs, jobs[i], '0w') end
end
`,
});

/**
 * tenantGiveBack gives back the slots of jobs that were not started after all. `untilMs` is the end that the
 * leases got when they were made. A later reservation of the same job has another end, and stays.
 */
export const tenantGiveBack = defineScript({
  name: 'tenant.give-back',
  keys: ['leases', 'costs'],
  args: ['untilMs'],
  rest: 'ids',
  lua: /* lua */ `
for _, id in ipairs(ids) do
  if tonumber(redis.call('ZSCORE', leases, id)) == tonumber(untilMs) then
    redis.call('ZREM', leases, id)
    redis.call('HDEL', costs, id)
  end
end
`,
});

/** tenantSettle ends the reservation of a job that has ended, and announces the free slot on `channel`. */
export const tenantSettle = defineScript({
  name: 'tenant.settle',
  keys: ['leases', 'costs'],
  args: ['channel', 'tenant', 'id'],
  lua: /* lua */ `
redis.call('HDEL', costs, id)
if redis.call('ZREM', leases, id) == 1 then redis.call('PUBLISH', channel, tenant) end
`,
});
