import { createScript } from '../../redis/script.ts';

/**
 * Takes a place in flight for a job of a tenant, and reserves what it is expected to cost. Whether that is within the budget is for the caller to judge, who
 * reads what is spent after this: so that a job that ends in between counts twice, and never not at all.
 *
 * KEYS leases, costs · ARGV most in flight ('': no limit), how long (ms), id, cost (nano-dollars)
 * Returns `{1 or 0 (too many), reserved in all, this one included (nano-dollars)}`.
 */
export const tenantTakeScript = createScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
local known = redis.call('ZSCORE', KEYS[1], ARGV[3])
if not known and ARGV[1] ~= '' and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return { 0, '0' } end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
local reserved = 0
for _, cost in ipairs(redis.call('HVALS', KEYS[2])) do reserved = reserved + tonumber(cost) end
return { 1, string.format('%.0f', reserved) }
`);

/** Says that these jobs are still held. KEYS leases · ARGV how long (ms), ids… */
export const tenantRenewScript = createScript(`
local clock = redis.call('TIME')
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], clock[1] * 1000 + ARGV[1], ARGV[i]) end
`);

/** KEYS leases, costs · ARGV channel, tenant, id */
export const tenantReleaseScript = createScript(`
redis.call('HDEL', KEYS[2], ARGV[3])
if redis.call('ZREM', KEYS[1], ARGV[3]) == 1 then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
`);
