import { defineScript } from '../../redis/script.ts';
import { quotaEstimates } from './quota.ts';
import { quotaReservations, quotaSignals } from './window.ts';

/**
 * quotaRenew renews the leases of jobs. `jobs` has for each job its id and how far it is:
 *
 * - `reserved`: its create request is not sent yet;
 * - `sending`: its create request is on its way. From here on its reservation counts as spent. A reservation
 *   that was made a while ago is charged to the present step, because the upstream counts it from now on, too;
 * - `running`: its response runs at the upstream. A job without a lease then gets a new one, even beyond the
 *   limits.
 *
 * Returns for each job how this step has found its reservation: `reserved`, `sent` (like `reserved`, and its
 * create request was sent before) or `expired`.
 */
export const quotaRenew = defineScript({
  name: 'quota.renew',
  args: ['leaseMs', 'runningLeaseMs'],
  uses: [quotaReservations],
  rest: 'jobs',
  lua: /* lua */ `
local LATE_STEPS = 5
local answers = {}
for i = 1, #jobs, 2 do
  local id, phase = jobs[i], jobs[i + 1]
  local isRunning = phase == 'running'
  local untilMs = now + (isRunning and runningLeaseMs or leaseMs)
  local reservation = reservationOf(id)
  if reservation and redis.call('ZSCORE', leases, id) then
    redis.call('ZADD', leases, text(untilMs), id)
    answers[#answers + 1] = reservation.isSent and 'sent' or 'reserved'
    if phase == 'sending' and not reservation.isSent then
      reservation.isSent = true
      if reservation.step > 0 and reservation.step + LATE_STEPS < math.floor(now / STEP_MS) then
        amendStep(reservation.step, -1, -reservation.tokens)
        reservation.step = charge(1, reservation.tokens)
      end
      storeReservation(id, reservation, untilMs)
    end
  elseif isRunning then
    storeReservation(id, { step = 0, tokens = 0, isSent = true, input = 0, class = '' }, untilMs)
    answers[#answers + 1] = 'sent'
  else answers[#answers + 1] = 'expired' end
end
return answers
`,
});

/**
 * quotaGiveBack gives reservations back. `why` is 'refused' when the upstream has refused the create requests:
 * then only the tokens are given back. It is 'withheld' when the create requests were not sent although the
 * reservations say so, and '' otherwise. `untilMs` is the end that the leases got when they were made, '' for
 * any. A later reservation of the same job has another end, and stays.
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
    releaseLease(id)
  end
end
if redis.call('HDEL', state, 'slot_awaited') == 1 then wakeDispatchers() end
`,
});

/**
 * quotaSettle ends a reservation: the job's usage replaces what was reserved, and the next estimates learn
 * from it. `inputTokens` and `outputTokens` are '' when unknown: the charge stays. `durationMs` is how long
 * the response took, '' when unknown.
 */
export const quotaSettle = defineScript({
  name: 'quota.settle',
  args: ['id', 'inputTokens', 'outputTokens', 'durationMs'],
  uses: [quotaReservations, quotaEstimates, quotaSignals],
  lua: /* lua */ `
local USAGE_EXPIRES_S = 2592000
local reservation = reservationOf(id)
releaseLease(id)
if redis.call('HDEL', state, 'slot_awaited') == 1 then wakeDispatchers() end
if not reservation or inputTokens == '' then return end
local input, output = tonumber(inputTokens), tonumber(outputTokens)
local _, before = windowSums()
correctCharge(reservation, 0, math.floor(input + output - reservation.tokens))
local _, after = windowSums()
-- The upstream had counted these tokens before, so the sum stays as it was.
if reservation.isCounted then setDrift(drift() + before - after, reservation.tokens) end

-- Learns the mean of the first ten values, then a moving average in which each new value weighs a tenth.
local function learn(field, value)
  local count = redis.call('HINCRBY', usage, 'n:' .. field, 1)
  local old = average(field) or value
  redis.call('HSET', usage, field, text(old + (value - old) / math.min(count, 10)))
end
-- The excess is how much more than usual for its class the largest of the last few hundred jobs has used.
-- Such a job fits only where this much room is left.
local usual = average('output:' .. reservation.class)
if usual then
  local excess = input - expectedInput(reservation.input) + output - usual
  redis.call('HSET', usage, 'excess', text(math.max(excess, (average('excess') or 0) * 0.998)))
end
learn('output:' .. reservation.class, output)
learn('output:*/' .. effortOf(reservation.class), output)
learn('output:*', output)
learn('tokens', input + output)
if reservation.input > 0 then learn('input_ratio', input / reservation.input) end
if durationMs ~= '' then
  learn('duration_ms', tonumber(durationMs))
  learn('duration_ms:' .. reservation.class, tonumber(durationMs))
end
redis.call('EXPIRE', usage, USAGE_EXPIRES_S)
`,
});
