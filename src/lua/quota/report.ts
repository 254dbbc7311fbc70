import { defineLibrary, defineScript } from '../../redis/script.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import { BURST_MS, quotaReservations, quotaSignals } from './window.ts';

/**
 * quotaReport records how the upstream refused or failed a job, so that all workers know it before they send
 * the next job. `inside` is '1' when the upstream had accepted the job's create request, and its response
 * then failed.
 *
 * `kind` is
 *
 * - `breaker`: opens the circuit breaker. Only a probe is sent: after `firstMs`, then after twice as long
 *   each time, up to `lastMs`. `reason` says why.
 * - `failure`: does the same as `breaker`, once five different jobs in a row have failed.
 * - `pause`: nothing is sent for `firstMs` or for `floorMs`, whichever is longer. `floorMs` doubles with each
 *   pause while no job passes, up to `lastMs`.
 * - `gone`: jobs with a further fallback do not try this model for ten minutes. Jobs without a further
 *   fallback still try it.
 *
 * A refusal that a job gets while other jobs pass concerns that job alone. From the third such refusal on,
 * the job no longer delays other jobs.
 *
 * Returns `alone` (the refusal concerns only this job), `known` (all workers wait, and did so before this
 * report) or `new` (all workers wait from now on).
 */
export const quotaReport = defineScript({
  name: 'quota.report',
  keys: ['refusals'],
  args: ['kind', 'reason', 'firstMs', 'lastMs', 'floorMs', 'id', 'words', 'inside'],
  uses: [quotaSignals, circuitBreaker],
  lua: /* lua */ `
local BURST_MS, FAILURES, GONE_MS = ${BURST_MS}, 5, 600000
local OWN_REFUSALS, MOST_REFUSALS, REFUSALS_KEPT_MS = 3, 10000, 86400000
firstMs, lastMs, floorMs = tonumber(firstMs), tonumber(lastMs), tonumber(floorMs)
local isInside = inside == '1'
local isProbe = redis.call('HGET', state, 'probe_job') == id

-- Counts the refusals of this job between which other jobs passed. Returns whether the problem concerns this
-- job alone.
local function isItsOwn()
  if id == '' then return false end
  local passed = tonumber(redis.call('HGET', state, isInside and 'answers' or 'passes')) or 0
  local field = isInside and 'inside ' .. id or id
  local before, count = string.match(redis.call('HGET', refusals, field) or '', '^(%d+):(%d+)$')
  count = count and tonumber(count) + (passed > tonumber(before) and 1 or 0) or 1
  if redis.call('HLEN', refusals) >= MOST_REFUSALS then redis.call('DEL', refusals) end
  redis.call('HSET', refusals, field, text(passed) .. ':' .. text(count))
  redis.call('PEXPIRE', refusals, REFUSALS_KEPT_MS)
  return count >= OWN_REFUSALS
end

if reason == 'gone' then redis.call('HSET', state, 'gone_until', text(now + GONE_MS)) end
if kind == 'gone' then return 'new' end

if isItsOwn() then
  -- Other jobs pass, so there is no reason to wait.
  if isProbe then
    closeBreaker()
    redis.call('HDEL', state, 'inside_failures', 'inside_failing_jobs')
    announceEndOfPause()
  end
  return 'alone'
end

if kind == 'pause' then
  local known = tonumber(redis.call('HGET', state, 'rate_limited_until')) or 0
  local isNew = known <= now
  local ms = firstMs
  if isNew then
    local throttles = redis.call('HINCRBY', state, 'throttles', 1)
    ms = math.max(ms, math.min(floorMs * 2 ^ (throttles - 1), lastMs))
    if isInside then redis.call('HSET', state, 'throttled_inside', 1) end
  end
  local untilMs = math.max(known, now + ms)
  -- No burst after this pause: the jobs that waited must not arrive together.
  local evenly = text(untilMs + BURST_MS)
  redis.call('HSET', state, 'rate_limited_until', text(untilMs),
    'next_request', evenly, 'next_token', evenly, 'next_large', evenly)
  announcePause(untilMs - now)
  return isNew and 'new' or 'known'
end

if kind == 'failure' then
  local countField = isInside and 'inside_failures' or 'failures'
  local jobsField = isInside and 'inside_failing_jobs' or 'failing_jobs'
  local failing = redis.call('HGET', state, jobsField) or ''
  if not string.find(failing, id, 1, true) then
    redis.call('HSET', state, jobsField, string.sub(failing .. ' ' .. id, -1000))
    redis.call('HINCRBY', state, countField, 1)
  end
  local isOpen = redis.call('HEXISTS', state, 'breaker') == 1
  if not isOpen and tonumber(redis.call('HGET', state, countField) or 0) < FAILURES then return 'alone' end
end

-- Only the probe's report is a verdict: any other job was sent before the breaker opened.
local known = redis.call('HGET', state, 'breaker')
if not known or isProbe then
  local before = known and tonumber(redis.call('HGET', state, 'probe_ms')) or 0
  local ms = math.min(math.max(before * 2, firstMs), lastMs)
  redis.call('HDEL', state, 'probe_job')
  redis.call('HSET', state, 'breaker', reason, 'probe_ms', text(ms), 'probe_at', text(now + ms),
    'breaker_words', words, 'breaker_inside', inside)
end
announcePause(tonumber(redis.call('HGET', state, 'probe_at')) - now)
return known and not isProbe and 'known' or 'new'
`,
});

/** quotaResume ends every pause by hand. Returns 1 when there was one. */
export const quotaResume = defineScript({
  name: 'quota.resume',
  keys: ['refusals'],
  uses: [quotaSignals, circuitBreaker],
  lua: /* lua */ `
local isOver = closeBreaker()
for _, field in ipairs({ 'rate_limited_until', 'gone_until' }) do
  if (tonumber(redis.call('HGET', state, field)) or 0) > now then
    isOver = true
    redis.call('HDEL', state, field)
  end
end
-- A pause has also set the times of the next starts, so these are removed too.
if isOver then
  redis.call('HDEL', state, 'throttles', 'throttled_inside', 'next_request', 'next_token', 'next_large')
end
redis.call('HDEL', state, 'inside_failures', 'inside_failing_jobs', 'no_windows_until')
redis.call('DEL', refusals)
announceEndOfPause()
return isOver and 1 or 0
`,
});

/** ownRefusals is how often a job was refused between which other jobs passed. */
export const ownRefusals = defineLibrary({
  keys: ['refusals'],
  lua: /* lua */ `
local function refusalsOf(id)
  local count = 0
  for _, field in ipairs({ id, 'inside ' .. id }) do
    local known = redis.call('HGET', refusals, field)
    if known then count = math.max(count, tonumber(string.match(known, ':(%d+)$'))) end
  end
  return count
end
`,
});

/**
 * acceptance is how `quotaAdvance` records that a create request was accepted, and the limits that the
 * upstream advertised with it. It closes the circuit breaker, unless the breaker was opened because accepted
 * responses failed.
 *
 * The upstream's count of tokens is right about running jobs and about other users of the key, so we add to
 * it only what is reserved for jobs that it has not counted yet. Of the upstream's count of requests we add
 * only what exceeds our own count.
 */
export const acceptance = defineLibrary({
  keys: ['refusals'],
  args: ['runningLeaseMs'],
  uses: [quotaReservations, quotaSignals, circuitBreaker],
  lua: /* lua */ `
local INSIDE_VERDICT_MS = 20000

local function accept(id, limitRequests, limitTokens, remainingRequests, remainingTokens)
  redis.call('HINCRBY', state, 'passes', 1)
  redis.call('HDEL', refusals, id)
  local trouble = redis.call('HMGET', state, 'throttled_inside', 'throttles', 'gone_until', unpack(BREAKER_FIELDS))
  if trouble[2] and not trouble[1] then redis.call('HDEL', state, 'throttles') end
  local wasPaused = trouble[3] and redis.call('HDEL', state, 'gone_until') > 0
  local isTroubled, isInside, probeJob = false, trouble[5] == '1', trouble[6]
  for i = 4, 3 + #BREAKER_FIELDS do isTroubled = isTroubled or trouble[i] end
  if isTroubled and not isInside then
    wasPaused = closeBreaker() or wasPaused
  elseif isInside and probeJob == id then
    -- The end of the probe's response is the verdict. Until then one more job tries every 20 seconds.
    redis.call('HSET', state, 'probe_at', text(now + INSIDE_VERDICT_MS))
  end
  if wasPaused then announceEndOfPause() end
  redis.call('ZADD', leases, 'XX', text(now + runningLeaseMs), id)
  local reply = wasPaused and 1 or 0
  if limitRequests == '' and limitTokens == '' then return reply end
  local requests, tokens = slideWindow()
  if limitTokens ~= '' and remainingTokens ~= '' then
    local reservation = reservationOf(id)
    local reserved = reservation and reservation.tokens or 0
    if reservation and not reservation.isCounted then
      addPendingTokens(-reservation.tokens)
      addOverEstimate(overEstimateOf(reservation))
      reservation.isCounted, reservation.isSent = true, true
      storeReservation(id, reservation, tonumber(redis.call('ZSCORE', leases, id)) or now)
    end
    local charges = tokens - drift() - tokensPastMinute() - pendingTokens()
    setDrift(math.max(limitTokens - remainingTokens - charges, -overEstimate()), reserved)
  end
  if limitRequests ~= '' and remainingRequests ~= '' then
    local unseen = limitRequests - remainingRequests - requests
    if unseen > 0 then charge(unseen, 0) end
  end
  redis.call('HSET', state, 'advertised_at', text(now))
  if limitRequests ~= '' then redis.call('HSET', state, 'advertised_requests', limitRequests) end
  if limitTokens ~= '' then redis.call('HSET', state, 'advertised_tokens', limitTokens) end
  return reply
end
`,
});
