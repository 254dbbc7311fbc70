import { createScript } from '../../redis/script.ts';
import { WINDOW_LUA } from './window.ts';

/**
 * Says that these jobs are still held. One whose lease has ended is held again where its response runs at the upstream, whatever the limit.
 *
 * KEYS state, window, leases, held, usage · ARGV how long (ms), then for each job: id, '1' when its response runs
 * Returns the ids of those that are held no more.
 */
export const renewScript = createScript(`
${WINDOW_LUA}
local gone = {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  if redis.call('ZSCORE', LEASES, id) then redis.call('ZADD', LEASES, text(now + ARGV[1]), id)
  elseif ARGV[i + 1] == '1' then hold(id, { step = 0, tokens = 0, sent = true, input = 0, class = '' }, now + ARGV[1])
  else gone[#gone + 1] = id end
end
return gone
`);

/** Says that a create is on its way: from here on its part is spent, whatever becomes of it. KEYS as above · ARGV id */
export const sentScript = createScript(`
${WINDOW_LUA}
local held = heldBy(ARGV[1])
if not held or held.sent then return end
held.sent = true
hold(ARGV[1], held, tonumber(redis.call('ZSCORE', LEASES, ARGV[1])))
`);

/** Gives back what was reserved and never used, of a create that was refused its tokens only. KEYS as above · ARGV '1' when refused, ids… */
export const giveBackScript = createScript(`
${WINDOW_LUA}
for i = 2, #ARGV do
  local held = heldBy(ARGV[i])
  if held and not held.sent then refund(held)
  elseif held and ARGV[1] == '1' then correct(held.step, 0, -held.tokens) end
  letGo(ARGV[i])
end
if redis.call('HDEL', STATE, 'awaited') == 1 then wakeAll() end
`);
