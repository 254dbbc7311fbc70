import { defineScript } from '../../redis/script.ts';
import { clock } from '../quota/clock.ts';

/**
 * openUndelivered gives a call an idempotency key: the key of an earlier call that sent the same request and
 * did not get its answer, or a new key. From then on the call holds the key.
 *
 * A key is held by a call that is being answered, or it is left (it stands in `left`). A call takes a key
 * from
 *
 * 1. the left keys and the keys that dead producers held, the newest key first;
 * 2. if the call says that it is a retry (`isRetry`): a call that is still being answered, the oldest first.
 *    Its producer has not noticed yet that the connection broke.
 *
 * A call with `isAgain` wants a new answer, so it takes no key. The exception is a retry with `isAgain`: it
 * takes the key of a call that had `isAgain` too.
 *
 * `states` has for each producer whose state the producer that runs the script has checked: its id, and
 * `alive`, `dead` or `gone` (dead for so long that its keys are void). Returns `new` or `joined` and the key.
 * Or the script changes nothing and returns `look` and the ids of the producers whose state must be checked
 * first.
 *
 * A key ends with the time (ms) of its first call. Members of a producer's set are `KEY CALL`, scored by the
 * time (ms) at which the call began, so that the second of two retries does not take the key of the first.
 * Members of `left` are `KEY TIME`, with the time (ms) at which the key was left, scored by the time in the
 * key.
 */
export const openUndelivered = defineScript({
  name: 'undelivered.open',
  keys: ['left', 'producers', 'openPrefix'],
  args: ['producer', 'call', 'newKey', 'isRetry', 'isAgain', 'leftMs', 'openMs'],
  rest: 'states',
  uses: [clock],
  lua: /* lua */ `
local mine = openPrefix .. producer
local state = {}
for i = 1, #states, 2 do state[states[i]] = states[i + 1] end

local function hold(key)
  redis.call('ZADD', mine, now, key .. ' ' .. call)
  redis.call('SADD', producers, producer)
  redis.call('PEXPIRE', mine, openMs)
  redis.call('PEXPIRE', producers, openMs)
end

local function firstIn(set, range)
  local found = redis.call(range, set, 0, 0, 'WITHSCORES')
  if not found[1] then return nil end
  local key, rest = string.match(found[1], '^(%S+) (%S+)$')
  if isAgain == '1' and string.sub(key, 1, 6) ~= 'again-' then return nil end
  local created = tonumber(string.match(key, '-(%d+)$'))
  local score = tonumber(found[2])
  return { set = set, member = found[1], key = key, rest = rest, created = created, score = score }
end

local function newestLeft()
  while true do
    local found = firstIn(left, 'ZREVRANGE')
    if not found or tonumber(found.rest) + leftMs >= now then return found end
    redis.call('ZREM', left, found.member)
  end
end

local function newer(one, other)
  if not one or (other and other.created > one.created) then return other end
  return one
end

local function older(one, other)
  if not one or (other and other.score < one.score) then return other end
  return one
end

if isAgain == '0' or isRetry == '1' then
  local best, unknown, oldest, look = newestLeft(), nil, nil, {}
  for _, id in ipairs(redis.call('SMEMBERS', producers)) do
    local set = openPrefix .. id
    if state[id] == 'gone' then
      redis.call('UNLINK', set)
      redis.call('SREM', producers, id)
    elseif state[id] == 'dead' then best = newer(best, firstIn(set, 'ZREVRANGE'))
    elseif state[id] == 'alive' then oldest = older(oldest, firstIn(set, 'ZRANGE'))
    else
      local found = firstIn(set, 'ZREVRANGE')
      if found then
        unknown = newer(unknown, found)
        look[#look + 1] = id
      end
    end
  end
  if unknown and newer(best, unknown) == unknown then return { 'look', unpack(look) } end
  if not best and isRetry == '1' then best = oldest end
  if best then
    redis.call('ZREM', best.set, best.member)
    hold(best.key)
    return { 'joined', best.key }
  end
end
local key = newKey .. '-' .. text(now)
hold(key)
return { 'new', key }
`,
});

/**
 * endUndelivered ends a call that holds a key. With `isLeft` the key is left for the next call with the same
 * request; otherwise the key is forgotten. Returns 1 if the call still held the key, else 0.
 */
export const endUndelivered = defineScript({
  name: 'undelivered.end',
  keys: ['left', 'producers', 'openPrefix'],
  args: ['producer', 'call', 'key', 'isLeft', 'leftMs', 'mostLeft'],
  uses: [clock],
  lua: /* lua */ `
local mine = openPrefix .. producer
if redis.call('ZREM', mine, key .. ' ' .. call) == 0 then return 0 end
if redis.call('EXISTS', mine) == 0 then redis.call('SREM', producers, producer) end
if isLeft == '1' then
  redis.call('ZADD', left, string.match(key, '-(%d+)$'), key .. ' ' .. text(now))
  redis.call('ZREMRANGEBYRANK', left, 0, -mostLeft - 1)
  redis.call('PEXPIRE', left, leftMs)
end
return 1
`,
});
