import { createScript } from './script.ts';
import { STATE_LUA } from './state.ts';

/**
 * Everything that a view of a job is made of, read at one instant.
 *
 * KEYS job, lock, delayed, prioritized, active, run, meta · ARGV id
 * Returns false when there is no such job, else
 * `{state, open (1 or 0), due (ms or false), paused (1 or 0), fields of the job, the whole record}`.
 */
export const readScript = createScript(`
${STATE_LUA}
local state = stateOf(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1])
if state == 'missing' then return false end
local due = false
if state == 'delayed' then
  -- BullMQ packs a counter into the low 12 bits of a delayed job's score.
  due = string.format('%.0f', math.floor(redis.call('ZSCORE', KEYS[3], ARGV[1]) / 4096))
end
local open = isOpen(KEYS[6], KEYS[1], state) and 1 or 0
local fields = redis.call('HMGET', KEYS[1], 'name', 'timestamp', 'opts', 'finishedOn', 'failedReason', 'returnvalue')
return { state, open, due, redis.call('HEXISTS', KEYS[7], 'paused'), fields, redis.call('HGETALL', KEYS[6]) }
`);
