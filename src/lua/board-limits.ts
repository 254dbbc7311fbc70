import { defineLibrary } from '../redis/script.ts';

/**
 * boardLimits says how many jobs may start by what was set on Bull Board, by the same rules as BullMQ's own
 * fetch of a job (moveToActive of bullmq 6.7.0). A job that was started and that no worker has taken yet
 * counts as one that a worker holds.
 *
 * | what is set | written by | ended by | a crash in between leaves |
 * |---|---|---|---|
 * | `paused`, `concurrency`, `max` with `duration` | Bull Board, a BullMQ client | the same, or a resume by hand, one after the other | the rest of them, which a second resume ends |
 * | `limiter`, the starts in the current duration | BullMQ, when a worker takes a job | its expiry, or a resume | the intended state |
 *
 * Keys: `meta` (BullMQ's hash of the queue's settings), `limiter` (BullMQ's count of starts), `active`, `wait`.
 */
export const boardLimits = defineLibrary({
  keys: ['meta', 'limiter', 'active', 'wait'],
  lua: /* lua */ `
-- Returns how many more jobs may start (less than 0: so many started jobs have to go back), which setting
-- allows no more ('' for none), in how many ms the next job may start (0: not known), and the settings.
local function boardRoom()
  local set = redis.call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration')
  local started = redis.call('LLEN', wait)
  if set[1] then return -started, 'pause', 0, set end
  local room, kind, waitMs = math.huge, '', 0
  local concurrency, max = tonumber(set[2]), tonumber(set[3])
  if concurrency then
    room, kind = concurrency - redis.call('LLEN', active) - started, 'concurrency'
  end
  if max then
    local ttlMs = redis.call('PTTL', limiter)
    local used = ttlMs > 0 and tonumber(redis.call('GET', limiter)) or 0
    if max - used - started < room then
      room, kind, waitMs = max - used - started, 'rate_limit', math.max(0, ttlMs)
    end
  end
  return room, kind, waitMs, set
end
`,
});
