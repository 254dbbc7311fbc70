import { createScript } from '../../redis/script.ts';

const CLOCK_LUA = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;

/**
 * Takes places in flight for jobs of a tenant, in their order, and reserves what they are expected to cost; up to the first for which there is no place. Whether
 * that is within the budget is for the caller to judge, who reads what is spent after this: so that a job that ends in between counts twice, and never not at
 * all. A job that has a place keeps it, and what was reserved for it.
 *
 * KEYS leases, costs · ARGV most in flight ('': no limit), how long (ms; '': only looks, and takes nothing), then for each job: id, cost (nano-dollars)
 * Returns `{reserved for others (nano-dollars), until when (ms), answers…}`: an answer for each job that there is a place for, 1 (taken) or 0 (it had one).
 */
export const tenantTakeScript = createScript(`
${CLOCK_LUA}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
local reserved = 0
for _, cost in ipairs(redis.call('HVALS', KEYS[2])) do reserved = reserved + tonumber(cost) end
local most, takes = tonumber(ARGV[1]), ARGV[2] ~= ''
local untilMs = takes and now + ARGV[2] or 0
local inFlight = redis.call('ZCARD', KEYS[1])
local reply = { string.format('%.0f', reserved), untilMs }
for i = 3, #ARGV, 2 do
  local isNew = not redis.call('ZSCORE', KEYS[1], ARGV[i])
  if isNew and most and inFlight >= most then break end
  if takes then
    -- Also of one that has a place already: whoever took it for less long leaves it alone then.
    redis.call('ZADD', KEYS[1], 'GT', untilMs, ARGV[i])
    if isNew then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
  end
  if isNew then inFlight = inFlight + 1 end
  reply[#reply + 1] = isNew and 1 or 0
end
return reply
`);

/** Says that these jobs are still held. KEYS leases · ARGV for each: id, for how long (ms) */
export const tenantRenewScript = createScript(`
${CLOCK_LUA}
for i = 1, #ARGV, 2 do redis.call('ZADD', KEYS[1], now + ARGV[i + 1], ARGV[i]) end
`);

/** Of jobs that were not started after all: unless somebody else has taken them up since. KEYS leases, costs · ARGV until when they were taken (ms), ids… */
export const tenantGiveBackScript = createScript(`
for i = 2, #ARGV do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i])) == tonumber(ARGV[1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
`);

/** A job has ended. KEYS leases, costs · ARGV channel, tenant, id */
export const tenantReleaseScript = createScript(`
redis.call('HDEL', KEYS[2], ARGV[3])
if redis.call('ZREM', KEYS[1], ARGV[3]) == 1 then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
`);
