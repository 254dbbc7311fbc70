import { createScript } from '../../redis/script.ts';
import { lineLua } from './line.ts';

/**
 * The next jobs, as they would be started one after the other. Takes nothing away but places whose job is gone, and jobs whose deadline has passed:
 * those are given to BullMQ's workers without a grant, which can only end them.
 *
 * KEYS line…, delayed, meta, wait, marker, deadlines, missing · ARGV now (ms), how many at most, prefix of job keys, weights (JSON, by tenant; 1 for whom it does not name)
 * Returns `{paused (1 or 0), granted jobs that no worker has taken yet, {id, tenant, options, bytes of data}…}`.
 */
export const lineNextScript = createScript(`
${lineLua()}
local DELAYED, META, WAIT = KEYS[6], KEYS[7], KEYS[8]
local MISSING_MS, MOST_GONE, CHUNK, SPARE = 60000, 200, 16, 16
local MISSING = KEYS[11]
local most, weights = tonumber(ARGV[2]), cjson.decode(ARGV[4])
endStops(ARGV[1])

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[10], '-inf', ARGV[1], 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[10], id)
  if isDelayedFar(DELAYED, id) then
    leave(tenantIn(redis.call('HGET', ARGV[3] .. id, 'opts')), id)
    redis.call('ZREM', DELAYED, id)
    redis.call('HSET', ARGV[3] .. id, 'delay', 0)
    redis.call('LPUSH', WAIT, id)
    redis.call('ZADD', KEYS[9], 0, '0')
  end
end

local gone = 0

-- A place whose job is just being added, by a client that may be slow, or has died; by Redis' own clock, since theirs may be anything.
local function isGone(id)
  local clock = redis.call('TIME')
  local nowMs = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local since = redis.call('ZSCORE', MISSING, id)
  if not since then redis.call('ZADD', MISSING, nowMs, id) end
  if not since or since + MISSING_MS > nowMs then return false end
  redis.call('ZREMRANGEBYSCORE', MISSING, '-inf', nowMs - 10 * MISSING_MS)
  redis.call('ZREM', MISSING, id)
  return true
end

-- Walks along one tenant's line.
local function walk(tenant)
  local offset, chunk, i = 0, {}, 0
  return function()
    while true do
      if i >= #chunk then
        chunk, i = redis.call('ZRANGE', lineOf(tenant), offset, offset + CHUNK - 1), 0
        if #chunk == 0 then return nil end
        offset = offset + #chunk
      end
      local id = chunk[i + 1]
      i = i + 1
      if isDelayedFar(DELAYED, id) then return id end
      if redis.call('EXISTS', ARGV[3] .. id) == 0 and isGone(id) then
        leave(tenant, id)
        offset, gone = offset - 1, gone + 1
        if gone >= MOST_GONE then return nil end
      end
    end
  end
end

-- Some more, since a tenant may have nothing but places without a job.
local first = redis.call('ZRANGE', TENANTS, 0, most + SPARE - 1, 'WITHSCORES')
local lines = {}
for i = 1, #first, 2 do
  local tenant = first[i]
  local line = { tenant = tenant, tag = tonumber(first[i + 1]), step = 1 / (tonumber(weights[tenant]) or 1), walk = walk(tenant) }
  line.id = line.walk()
  if line.id then lines[#lines + 1] = line end
end
local reply = { redis.call('HEXISTS', META, 'paused'), redis.call('LLEN', WAIT) }
while #reply - 2 < most and #lines > 0 do
  local best = 1
  for i = 2, #lines do if lines[i].tag < lines[best].tag then best = i end end
  local line = lines[best]
  local jobKey = ARGV[3] .. line.id
  reply[#reply + 1] = { line.id, line.tenant, redis.call('HGET', jobKey, 'opts') or '{}', redis.call('HSTRLEN', jobKey, 'data') }
  line.id, line.tag = line.walk(), line.tag + line.step
  if not line.id then table.remove(lines, best) end
end
return reply
`);
