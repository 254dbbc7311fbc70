import { createScript } from '../../redis/script.ts';
import { WINDOW_LUA } from './window.ts';

/**
 * The end of what a job holds: what it has really used takes the place of what was reserved, and the next estimates learn from it.
 *
 * KEYS state, window, leases, held, usage
 * ARGV id, input and output tokens ('': not known, what was reserved stands), how long the response took (ms, '' when not known)
 */
export const settleScript = createScript(`
${WINDOW_LUA}
local held = heldBy(ARGV[1])
letGo(ARGV[1])
if redis.call('HDEL', STATE, 'awaited') == 1 then wakeAll() end
if not held or ARGV[2] == '' then return end
local input, output = tonumber(ARGV[2]), tonumber(ARGV[3])
local difference = input + output - held.tokens
local _, before = sums()
correct(held.step, 0, math.floor(difference))
local _, after = sums()
-- The upstream had told it before.
if held.counted then setUnlike(unlike() + before - after) end

-- The mean of the first ten, then a tenth of each new one.
local function learn(field, value)
  local count = redis.call('HINCRBY', USAGE, 'n:' .. field, 1)
  local old = tonumber(redis.call('HGET', USAGE, field)) or value
  redis.call('HSET', USAGE, field, text(old + (value - old) / math.min(count, 10)))
end
-- How much more than is usual for its class the largest of the last hundreds have used: such a one fits only where there is that much room left.
local usual = tonumber(redis.call('HGET', USAGE, 'output:' .. held.class))
if usual then
  local excess = tonumber(redis.call('HGET', USAGE, 'excess')) or 0
  local ratio = tonumber(redis.call('HGET', USAGE, 'input_ratio')) or 1
  redis.call('HSET', USAGE, 'excess', text(math.max(input - held.input * ratio + output - usual, excess * 0.998)))
end
local effort = string.match(held.class, '([^/]*)$')
learn('output:' .. held.class, output)
learn('output:*/' .. effort, output)
learn('output:*', output)
learn('tokens', input + output)
if held.input > 0 then learn('input_ratio', input / held.input) end
if ARGV[4] ~= '' then learn('duration_ms', tonumber(ARGV[4])) end
redis.call('EXPIRE', USAGE, 2592000)
`);
