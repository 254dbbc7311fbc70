import { defineLibrary, defineScript } from '../../redis/script.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import { quotaReservations, quotaSignals } from './window.ts';

/** leaseRenewal is how `quotaAdvance` renews the lease of a job. */
export const leaseRenewal = defineLibrary({
  args: ['leaseMs', 'runningLeaseMs'],
  uses: [quotaReservations],
  lua: /* lua */ `
local LATE_STEPS = 5

local function renewLease(id, phase)
  local isRunning, window = string.sub(phase, 1, 7) == 'running', windowOf(phase)
  local untilMs = now + (isRunning and runningLeaseMs or leaseMs)
  local reservation = reservationOf(id)
  if reservation and redis.call('ZSCORE', leases, id) then
    local found = reservation.isSent and 'sent' or 'reserved'
    if phase == 'sending' and not reservation.isSent then
      reservation.isSent = true
      if reservation.step > 0 and reservation.step + LATE_STEPS < math.floor(now / STEP_MS) then
        amendStep(reservation.step, -1, -reservation.tokens)
        reservation.step = charge(1, reservation.tokens)
      end
      storeReservation(id, reservation, untilMs)
    else redis.call('ZADD', leases, text(untilMs), id) end
    return found
  end
  if not isRunning then return 'expired' end
  local class = window and '@' .. window or ''
  if window then addWindowed(1) end
  storeReservation(id, { step = 0, tokens = 0, isSent = true, input = 0, class = class }, untilMs)
  return 'sent'
end
`,
});

/**
 * abandonedLeases ends leases that keep jobs of the fair queue waiting. A running response keeps its lease for
 * `runningLeaseMs` after the last renewal, so that it counts even without a worker. A job that waits in the
 * fair queue has no such response, and no worker holds it. If it still has such a lease, its worker lost the
 * job by a failover and renewed the lease after that, or could not settle it while Redis was away. Such a
 * lease ends once no worker has renewed it for `abandonedMs`.
 */
export const abandonedLeases = defineLibrary({
  args: ['runningLeaseMs', 'abandonedMs'],
  uses: [quotaReservations],
  lua: /* lua */ `
-- \`untilMs\` is the end of the job's lease. Returns the slots and the places within a window that have become
-- free; nil when the lease goes on.
local function endAbandonedLease(id, untilMs)
  local leftMs = untilMs - now
  if leftMs <= tonumber(abandonedMs) or leftMs >= runningLeaseMs - abandonedMs then return nil end
  local reservation = reservationOf(id)
  local isWindowed = reservation and windowOf(reservation.class)
  releaseLease(id, reservation)
  return { slots = isWindowed and 0 or 1, places = isWindowed and 1 or 0 }
end
`,
});

/**
 * quotaGiveBack gives reservations back. `why` is 'refused' when the upstream has refused the create
 * requests: then only the tokens are given back. It is 'withheld' when the create requests were not sent
 * although the reservations say so, and '' otherwise. `untilMs` is the end that the leases got when they were
 * made, '' for any. A later reservation of the same job has another end, and stays.
 */
export const quotaGiveBack = defineScript({
  name: 'quota.give-back',
  args: ['why', 'untilMs'],
  uses: [quotaReservations, quotaSignals],
  rest: 'ids',
  lua: /* lua */ `
for _, id in ipairs(ids) do
  local reservation = reservationOf(id)
  if untilMs == '' or tonumber(redis.call('ZSCORE', leases, id)) == tonumber(untilMs) then
    if reservation and (why == 'withheld' or not reservation.isSent) then refund(reservation)
    elseif reservation and why == 'refused' then correctCharge(reservation, 0, -reservation.tokens) end
    releaseLease(id, reservation)
  end
end
if redis.call('HDEL', state, 'slot_awaited') == 1 then wakeDispatchers() end
`,
});

/** settlement is how `quotaAdvance` ends a reservation. */
export const settlement = defineLibrary({
  keys: ['usage', 'refusals'],
  uses: [quotaReservations, quotaSignals, circuitBreaker],
  lua: /* lua */ `
local USAGE_EXPIRES_S = 2592000
local WINDOW_MS = { ['2h'] = 7200000, ['8h'] = 28800000 }

local function settle(id, inputTokens, outputTokens, durationMs, isAnswered)
  local reply = 0
  if isAnswered == '1' then
    redis.call('HINCRBY', state, 'answers', 1)
    redis.call('HDEL', refusals, id, 'inside ' .. id)
    redis.call('HDEL', state, 'inside_failures', 'inside_failing_jobs', 'throttles', 'throttled_inside')
    if redis.call('HGET', state, 'breaker_inside') == '1' then
      closeBreaker()
      announceEndOfPause()
      reply = 1
    end
  end
  local reservation = reservationOf(id)
  releaseLease(id, reservation)
  if redis.call('HDEL', state, 'slot_awaited') == 1 then wakeDispatchers() end
  if not reservation or inputTokens == '' then return reply end
  local input, output = tonumber(inputTokens), tonumber(outputTokens)
  local correction = math.floor(input + output - reservation.tokens)
  if correction ~= 0 then
    local _, before = windowSums()
    correctCharge(reservation, 0, correction)
    -- The upstream had counted these tokens before, so the sum stays as it was.
    if reservation.isCounted then
      local _, after = windowSums()
      setDrift(drift() + before - after, reservation.tokens)
    end
  end

  local window = windowOf(reservation.class)
  local class = string.gsub(reservation.class, '@%w+$', '')
  local samples = {
    'output:' .. class, output, 'output:*/' .. string.match(class, '([^/]*)$'), output, 'output:*', output,
    'tokens', input + output
  }
  local function add(field, value) samples[#samples + 1], samples[#samples + 2] = field, value end
  if reservation.input > 0 then add('input_ratio', input / reservation.input) end
  if durationMs ~= '' and not window then
    add('duration_ms', tonumber(durationMs))
    add('duration_ms:' .. class, tonumber(durationMs))
  end
  local names = { 'excess', 'input_ratio' }
  for i = 1, #samples, 2 do
    names[#names + 1], names[#names + 2] = samples[i], 'n:' .. samples[i]
  end
  local known, learned = redis.call('HMGET', usage, unpack(names)), {}
  local function learn(field, value) learned[#learned + 1], learned[#learned + 2] = field, text(value) end
  -- The excess is how much more than usual for its class the largest of the last few hundred jobs has used.
  -- Such a job fits only where this much room is left.
  local excess, inputRatio, usual = tonumber(known[1]) or 0, tonumber(known[2]) or 1, tonumber(known[3])
  if usual then
    learn('excess', math.max(input - reservation.input * inputRatio + output - usual, excess * 0.998))
  end
  -- Learns the mean of the first ten values, then a moving average in which each new value weighs a tenth.
  for i = 1, #samples, 2 do
    local field, value = samples[i], samples[i + 1]
    local old, count = tonumber(known[i + 2]) or value, (tonumber(known[i + 3]) or 0) + 1
    learn(field, old + (value - old) / math.min(count, 10))
    learn('n:' .. field, count)
  end
  -- How much later than their window the latest of the last few hundred answers came.
  if durationMs ~= '' and WINDOW_MS[window] then
    local late = redis.call('HMGET', usage, 'late_ms:' .. window, 'n:late_ms:' .. window)
    local lateMs = math.max(0, tonumber(durationMs) - WINDOW_MS[window])
    learn('late_ms:' .. window, math.max(lateMs, (tonumber(late[1]) or 0) * 0.99))
    learn('n:late_ms:' .. window, (tonumber(late[2]) or 0) + 1)
  end
  redis.call('HSET', usage, unpack(learned))
  redis.call('EXPIRE', usage, USAGE_EXPIRES_S)
  return reply
end
`,
});
