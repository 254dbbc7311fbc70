import { createScript } from '../../redis/script.ts';
import { WINDOW_LUA } from './window.ts';

/**
 * Says that these jobs are still held. One whose lease has ended is held again where its response runs at the upstream, whatever the limit.
 *
 * KEYS state, window, leases, held, usage · ARGV how long (ms), how long where a response runs (ms), then for each job: id, '1' when its response runs
 * Returns for each of them 'held', 'sent' (held, and a create was sent), or 'lapsed'.
 */
export const renewScript = createScript(`
${WINDOW_LUA}
local answers = {}
for i = 3, #ARGV, 2 do
  local id, isRunning = ARGV[i], ARGV[i + 1] == '1'
  local untilMs = now + (isRunning and ARGV[2] or ARGV[1])
  local held = heldBy(id)
  if held and redis.call('ZSCORE', LEASES, id) then
    redis.call('ZADD', LEASES, text(untilMs), id)
    answers[#answers + 1] = held.sent and 'sent' or 'held'
  elseif isRunning then
    hold(id, { step = 0, tokens = 0, sent = true, input = 0, class = '' }, untilMs)
    answers[#answers + 1] = 'sent'
  else answers[#answers + 1] = 'lapsed' end
end
return answers
`);

/**
 * Says that a create is on its way: from here on its part is spent, whatever becomes of it. What was granted a while ago counts from now on: the upstream will
 * count it from now on, too. KEYS as above · ARGV id
 */
export const sentScript = createScript(`
${WINDOW_LUA}
local LATE_STEPS = 5
local held = heldBy(ARGV[1])
if not held or held.sent then return end
held.sent = true
if held.step > 0 and held.step + LATE_STEPS < math.floor(now / STEP_MS) then
  amend(held.step, -1, -held.tokens)
  held.step = charge(1, held.tokens)
end
hold(ARGV[1], held, tonumber(redis.call('ZSCORE', LEASES, ARGV[1])))
`);

/**
 * Gives back what was reserved and never used, of a create that was refused its tokens only.
 * KEYS as above · ARGV '1' when refused, until when it was taken (ms; '': whoever has it since), ids…
 */
export const giveBackScript = createScript(`
${WINDOW_LUA}
for i = 3, #ARGV do
  local held = heldBy(ARGV[i])
  local untilMs = redis.call('ZSCORE', LEASES, ARGV[i])
  if ARGV[2] == '' or tonumber(untilMs) == tonumber(ARGV[2]) then
    if held and not held.sent then refund(held)
    elseif held and ARGV[1] == '1' then correct(held.step, 0, -held.tokens) end
    letGo(ARGV[i])
  end
end
if redis.call('HDEL', STATE, 'awaited') == 1 then wakeAll() end
`);
