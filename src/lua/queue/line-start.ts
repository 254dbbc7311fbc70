import { createScript } from '../../redis/script.ts';
import { lineLua } from './line.ts';

/**
 * Starts jobs that quota was taken for: out of the line, and into BullMQ's, where any worker takes them. In one step with the look whether they
 * are still in the line, since somebody may have cancelled.
 *
 * KEYS line…, delayed, wait, marker, events · ARGV prefix of job keys, prefix of record keys, weights (JSON), then for each: id, tenant, grant
 * Returns for each 1, or 0 when it is not in the line any more.
 */
export const lineStartScript = createScript(`
${lineLua()}
local DELAYED, WAIT, MARKER, EVENTS = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local weights = cjson.decode(ARGV[3])
local started = {}
for i = 4, #ARGV, 3 do
  local id, tenant = ARGV[i], ARGV[i + 1]
  started[#started + 1] = 0
  if isDelayedFar(DELAYED, id) and redis.call('ZSCORE', lineOf(tenant), id) then
    local tag = tonumber(redis.call('ZSCORE', TENANTS, tenant)) or nextTag(tenant)
    local after = tag + 1 / (tonumber(weights[tenant]) or 1)
    redis.call('HSET', CLOCK, 'now', exact(math.max(virtualTime(), tag)), 'next:' .. tenant, exact(after))
    redis.call('HINCRBY', CLOCK, 'starts', 1)
    redis.call('ZREM', DELAYED, id)
    leave(tenant, id)
    if redis.call('ZSCORE', TENANTS, tenant) then redis.call('ZADD', TENANTS, exact(after), tenant) end
    redis.call('HSET', ARGV[1] .. id, 'delay', 0)
    redis.call('HSET', ARGV[2] .. id, 'grant', ARGV[i + 2])
    redis.call('LPUSH', WAIT, id)
    redis.call('XADD', EVENTS, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
    started[#started] = 1
  end
end
redis.call('ZADD', MARKER, 0, '0')
-- Tenants that are long gone have no more claim to a later turn.
if redis.call('HLEN', CLOCK) > 2000 then
  local all, vt = redis.call('HGETALL', CLOCK), virtualTime()
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 5) == 'next:' and tonumber(all[i + 1]) <= vt then redis.call('HDEL', CLOCK, all[i]) end
  end
end
return started
`);
