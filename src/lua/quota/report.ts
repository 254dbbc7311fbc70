import { defineScript } from '../../redis/script.ts';
import { BURST_MS } from './quota.ts';
import { quotaReservations, quotaSignals } from './window.ts';

/**
 * Records what a create request has met, for all workers that would send the next one. Each of these five
 * pauses the model; `unreachable` and `failed` are the circuit breaker:
 *
 * - `rate_limited`: no worker sends before the time that the upstream has named, in `milliseconds`.
 * - `quota_exhausted`: the account has no money left. A probe is sent after a minute, then after twice as
 *   long each time, up to ten minutes.
 * - `unreachable`: no connection was possible. A probe is sent after a second, then after twice as long each
 *   time, up to a minute.
 * - `failed`: overloaded or broken. After five different jobs in a row a probe is sent after 5 s, then after
 *   twice as long each time, up to a minute. One job that fails five times may be to blame itself.
 * - `gone`: the upstream does not have the model. It is asked again after ten minutes.
 *
 * Returns `alone` (it concerns only this job), `known` (all workers wait, and knew it before) or `new`.
 */
export const quotaReport = defineScript({
  name: 'quota.report',
  args: ['what', 'milliseconds', 'id'],
  uses: [quotaSignals],
  lua: /* lua */ `
local BURST_MS, FAILURES, GONE_MS = ${BURST_MS}, 5, 600000
local FIRST_PROBE_MS, LAST_PROBE_MS = 60000, 600000
local UNREACHABLE_MS, FIRST_OPEN_MS, LAST_OPEN_MS = 1000, 5000, 60000
local isNew = false

-- Doubles the time until the next probe, unless the report is not the probe's: of a job that was on its way
-- when the circuit opened.
local function backOff(msField, untilField, first, last)
  local ms = tonumber(redis.call('HGET', state, msField))
  if not ms or redis.call('HGET', state, 'probe_job') == id then
    ms = ms and math.min(ms * 2, last) or first
    redis.call('HDEL', state, 'probe_job')
    redis.call('HSET', state, msField, text(ms), untilField, text(now + ms))
    isNew = true
  end
  announceStop(tonumber(redis.call('HGET', state, untilField)) - now)
end

if what == 'rate_limited' then
  local known = tonumber(redis.call('HGET', state, 'rate_limited_until')) or 0
  isNew = known <= now
  local untilMs = math.max(known, now + milliseconds)
  -- No burst after this pause: the jobs that waited must not arrive together.
  local evenly = text(untilMs + BURST_MS)
  redis.call('HSET', state, 'rate_limited_until', text(untilMs), 'next_request', evenly, 'next_token', evenly)
  announceStop(untilMs - now)
elseif what == 'quota_exhausted' then
  backOff('probe_ms', 'probe_at', FIRST_PROBE_MS, LAST_PROBE_MS)
elseif what == 'unreachable' then
  redis.call('HSET', state, 'failures', FAILURES)
  backOff('open_ms', 'open_until', UNREACHABLE_MS, LAST_OPEN_MS)
elseif what == 'failed' then
  local failing = redis.call('HGET', state, 'failing_jobs') or ''
  if not string.find(failing, id, 1, true) then
    redis.call('HSET', state, 'failing_jobs', string.sub(failing .. ' ' .. id, -1000))
    redis.call('HINCRBY', state, 'failures', 1)
  end
  if tonumber(redis.call('HGET', state, 'failures') or 0) < FAILURES then return 'alone' end
  backOff('open_ms', 'open_until', FIRST_OPEN_MS, LAST_OPEN_MS)
elseif what == 'gone' then
  isNew = (tonumber(redis.call('HGET', state, 'gone_until')) or 0) <= now
  redis.call('HSET', state, 'gone_until', text(now + GONE_MS))
end
return isNew and 'new' or 'known'
`,
});

/** Ends the pause after `quota_exhausted`, by hand. Returns 1 when there was one. */
export const quotaResume = defineScript({
  name: 'quota.resume',
  uses: [quotaSignals],
  lua: /* lua */ `
if redis.call('HDEL', state, 'probe_at', 'probe_ms') == 0 then return 0 end
redis.call('HDEL', state, 'probe_job')
announceEndOfStop()
return 1
`,
});

/**
 * Records that a create request was accepted, which ends every stop, and what the upstream advertised with
 * it.
 *
 * The upstream's count of tokens is the truth about running jobs and about other users of the key: what we
 * add to it is only what is reserved for jobs that it has not counted yet. Of requests we take only what
 * exceeds our own count.
 *
 * The limits and the remaining amounts are '' where the upstream did not advertise them. Returns 1 when a
 * stop has ended.
 */
export const quotaAccepted = defineScript({
  name: 'quota.accepted',
  args: ['limitRequests', 'limitTokens', 'remainingRequests', 'remainingTokens', 'id', 'leaseMs'],
  uses: [quotaReservations, quotaSignals],
  lua: /* lua */ `
local wasStopped = redis.call('HDEL', state, 'open_until', 'probe_at', 'gone_until') > 0
redis.call('HDEL', state, 'failures', 'failing_jobs', 'open_ms', 'probe_ms', 'probe_job')
if wasStopped then announceEndOfStop() end
redis.call('ZADD', leases, 'XX', text(now + leaseMs), id)
local reply = wasStopped and 1 or 0
if limitRequests == '' and limitTokens == '' then return reply end
local requests, tokens = slideWindow()
if limitTokens ~= '' and remainingTokens ~= '' then
  local reservation = reservationOf(id)
  if reservation and not reservation.isCounted then
    addPendingTokens(-reservation.tokens)
    addOverEstimate(overEstimateOf(reservation))
    reservation.isCounted, reservation.isSent = true, true
    storeReservation(id, reservation, tonumber(redis.call('ZSCORE', leases, id)) or now)
  end
  local charges = tokens - drift() - tokensPastMinute() - pendingTokens()
  setDrift(math.max(limitTokens - remainingTokens - charges, -overEstimate()))
end
if limitRequests ~= '' and remainingRequests ~= '' then
  local unseen = limitRequests - remainingRequests - requests
  if unseen > 0 then charge(unseen, 0) end
end
redis.call('HSET', state, 'advertised_at', text(now))
if limitRequests ~= '' then redis.call('HSET', state, 'advertised_requests', limitRequests) end
if limitTokens ~= '' then redis.call('HSET', state, 'advertised_tokens', limitTokens) end
return reply
`,
});
