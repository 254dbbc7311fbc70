import { createScript } from '../../redis/script.ts';
import { lineLua } from './line.ts';
import { STATE_LUA } from './state.ts';

/**
 * Everything that a view of a job is made of, read at one instant.
 *
 * KEYS job, lock, delayed, prioritized, active, run, meta, line…, what the dispatchers have told · ARGV id, weights (JSON, by tenant; 1 for whom it does not name)
 * Returns false when there is no such job, else
 * `{state, open (1 or 0), due (ms or false), paused (1 or 0), fields of the job, the whole record, place}`; the place in the line is false, or
 * `{jobs before it, those of its tenant among them, why its tenant is stopped (or ''), until when, what the dispatchers have told…}`.
 */
export const readScript = createScript(`
${STATE_LUA}${lineLua(8)}
local MOST_TENANTS = 200

-- How many are started before it, by the same rule as they are started.
local function placeOf(tenant, id, weights)
  local rank = redis.call('ZRANK', lineOf(tenant), id)
  if not rank then return false end
  local function weight(of) return tonumber(weights[of]) or 1 end
  local mine = (tonumber(redis.call('ZSCORE', TENANTS, tenant)) or nextTag(tenant)) + rank / weight(tenant)
  local before = rank
  local others = redis.call('ZRANGE', TENANTS, 0, MOST_TENANTS - 1, 'WITHSCORES')
  for i = 1, #others, 2 do
    local other, tag = others[i], tonumber(others[i + 1])
    if other ~= tenant and tag < mine then
      local turns = math.ceil((mine - tag) * weight(other) - 1e-9)
      before = before + math.min(turns, redis.call('ZCARD', lineOf(other)))
    end
  end
  local stop = redis.call('HGET', REASONS, tenant) or ''
  return { before, rank, stop, redis.call('ZSCORE', STOPPED, tenant) or '0', unpack(redis.call('HGETALL', KEYS[13])) }
end

local state = stateOf(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1])
if state == 'missing' then return false end
local due = false
if state == 'delayed' then
  -- BullMQ packs a counter into the low 12 bits of a delayed job's score.
  due = string.format('%.0f', math.floor(redis.call('ZSCORE', KEYS[3], ARGV[1]) / 4096))
end
local open = isOpen(KEYS[6], KEYS[1], state) and 1 or 0
local fields = redis.call('HMGET', KEYS[1], 'name', 'timestamp', 'opts', 'finishedOn', 'failedReason', 'returnvalue')
local place = false
if state == 'waiting' and redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  place = placeOf(tenantIn(fields[3]), ARGV[1], cjson.decode(ARGV[2]))
end
return { state, open, due, redis.call('HEXISTS', KEYS[7], 'paused'), fields, redis.call('HGETALL', KEYS[6]), place }
`);
