/** When BullMQ would start a job that stands in the line: in the year 2039, the latest that fits into a score of its delayed jobs (times 4096). */
export const FAR_MS = 2_190_000_000_000;

/**
 * The line of one model: every job that waits for its turn, in the order of start-time fair queueing. A tenant's first job has a tag, the virtual time at which
 * it is due; each start moves the tenant's next tag on by 1 / weight, and the virtual time to the tag of what was started. A tenant that comes
 * with ten thousand jobs therefore waits with them behind one job of each other tenant, and none of them can be starved.
 *
 * For BullMQ a job in the line is delayed until a date far away, so that no worker takes it. Who stands in both, is in the line.
 *
 * @param first which of the script's KEYS is the first of the line's five: tenants (tag by tenant), clock (virtual time, next tag by tenant), stopped (until when
 * by tenant), reasons (of those stops), the beginning of the tenants' own lines.
 */
export const lineLua = (first = 1): string => `
local TENANTS, CLOCK, STOPPED, REASONS, LINE = KEYS[${first}], KEYS[${first + 1}], KEYS[${first + 2}], KEYS[${first + 3}], KEYS[${first + 4}]
local FAR_SCORE = ${FAR_MS * 4096}

local function exact(number) return string.format('%.17g', number) end
local function lineOf(tenant) return LINE .. ':' .. tenant end

-- Whose a job is by its options. Another BullMQ client may have written anything there.
local function tenantIn(options)
  local known, parsed = pcall(cjson.decode, options or '')
  local group = known and type(parsed) == 'table' and parsed.group
  local tenant = type(group) == 'table' and group.id
  return type(tenant) == 'string' and tenant or ''
end

local function virtualTime() return tonumber(redis.call('HGET', CLOCK, 'now')) or 0 end

local function nextTag(tenant)
  return math.max(virtualTime(), tonumber(redis.call('HGET', CLOCK, 'next:' .. tenant)) or 0)
end

local function arrive(tenant)
  if redis.call('ZSCORE', STOPPED, tenant) then return end
  redis.call('ZADD', TENANTS, 'NX', exact(nextTag(tenant)), tenant)
end

local function leave(tenant, id)
  local left = redis.call('ZREM', lineOf(tenant), id)
  if left == 1 and redis.call('EXISTS', lineOf(tenant)) == 0 then
    redis.call('ZREM', TENANTS, tenant)
    redis.call('ZREM', STOPPED, tenant)
    redis.call('HDEL', REASONS, tenant)
  end
  return left
end

local function isDelayedFar(delayedKey, id)
  local score = redis.call('ZSCORE', delayedKey, id)
  return score and tonumber(score) >= FAR_SCORE
end

local function endStops(now)
  for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', STOPPED, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', STOPPED, tenant)
    redis.call('HDEL', REASONS, tenant)
    if redis.call('EXISTS', lineOf(tenant)) == 1 then arrive(tenant) end
  end
end
`;
