import { defineLibrary } from '../../redis/script.ts';
import { clock } from './clock.ts';

/**
 * BURST_MS is how much of the even share may be used at once after a pause, in milliseconds of that share. A
 * job that needs more tokens than that is a large job.
 */
export const BURST_MS = 3000;

/**
 * quotaWindow is the sliding window of a quota: what was charged in the last minute.
 *
 * A minute is any 60 seconds. Charges are kept in steps of 100 ms, and each counts for 61 seconds: the extra
 * second covers the length of the step and the varying time that a request takes to the upstream.
 */
export const quotaWindow = defineLibrary({
  keys: ['state', 'window'],
  uses: [clock],
  lua: /* lua */ `
local STEP_MS, COUNTS_MS, MINUTE_MS, BURST_MS = 100, 61000, 60050, ${BURST_MS}

local function parseStep(entry)
  local step, requests, tokens = string.match(entry, '^(%d+):(-?%d+):(-?%d+)$')
  return tonumber(step), tonumber(requests), tonumber(tokens)
end

local function formatStep(step, requests, tokens)
  return text(step) .. ':' .. text(requests) .. ':' .. text(tokens)
end

local function windowSums()
  local known = redis.call('HMGET', state, 'requests', 'tokens')
  return tonumber(known[1]) or 0, tonumber(known[2]) or 0
end

local function setWindowSums(requests, tokens)
  redis.call('HSET', state, 'requests', text(requests), 'tokens', text(tokens))
end

-- Charges the current step, which is the last one of the window, and returns its number.
local function charge(requests, tokens)
  local step = math.floor(now / STEP_MS)
  local last = redis.call('LINDEX', window, -1)
  local lastStep, lastRequests, lastTokens
  if last then lastStep, lastRequests, lastTokens = parseStep(last) end
  if lastStep and lastStep >= step then
    redis.call('LSET', window, -1, formatStep(lastStep, lastRequests + requests, lastTokens + tokens))
    step = lastStep
  else
    redis.call('RPUSH', window, formatStep(step, requests, tokens))
  end
  local allRequests, allTokens = windowSums()
  setWindowSums(allRequests + requests, allTokens + tokens)
  return step
end

-- Moves the time at which the next tokens may be used, when the tokens of the minute are spread evenly.
-- \`reserved\` is how many tokens were reserved for the job of these tokens: large jobs have a pace of their
-- own.
local function shiftPace(tokens, reserved)
  local msPerToken = tonumber(redis.call('HGET', state, 'ms_per_token'))
  if not msPerToken then return end
  local field = reserved * msPerToken > BURST_MS and 'next_large' or 'next_token'
  local at = tonumber(redis.call('HGET', state, field)) or 0
  redis.call('HSET', state, field, text(at + tokens * msPerToken))
end

-- Changes a step that still counts. The search is binary, because there are hundreds of steps and thousands
-- of changes.
local function amendStep(step, requests, tokens)
  local low, high = 0, redis.call('LLEN', window) - 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local found, oldRequests, oldTokens = parseStep(redis.call('LINDEX', window, middle))
    if found == step then
      redis.call('LSET', window, middle, formatStep(found, oldRequests + requests, oldTokens + tokens))
      local allRequests, allTokens = windowSums()
      setWindowSums(allRequests + requests, allTokens + tokens)
      return
    end
    if found < step then low = middle + 1 else high = middle - 1 end
  end
end

-- Corrects a charge. It also corrects the pace, which the charge has set even if its step no longer counts.
local function correctCharge(reservation, requests, tokens)
  amendStep(reservation.step, requests, tokens)
  shiftPace(tokens, reservation.tokens)
end

-- Tokens that the upstream counted beyond our own charges, for running jobs and for other users of the key.
local function drift() return tonumber(redis.call('HGET', state, 'drift')) or 0 end

-- Sets the drift when the count of the upstream or of a job has become known. \`reserved\` is how many tokens
-- were reserved for that job.
local function setDrift(tokens, reserved)
  local change = tokens - drift()
  local allRequests, allTokens = windowSums()
  setWindowSums(allRequests, allTokens + change)
  shiftPace(change, reserved)
  redis.call('HSET', state, 'drift', text(tokens))
end

-- Returns the milliseconds until so many charges of the window no longer count.
local function windowWait(isRequests, excess, countsMs)
  for _, entry in ipairs(redis.call('LRANGE', window, 0, -1)) do
    local step, requests, tokens = parseStep(entry)
    local wait = step * STEP_MS + countsMs - now
    if wait > 0 then excess = excess - (isRequests and requests or tokens) end
    if excess <= 0 then return wait end
  end
  -- The upstream counts more than we have charged, because other programs use the same key.
  return 500
end

-- Drops the steps that no longer count, and returns the sums of the others.
local function slideWindow()
  local advertisedAt = tonumber(redis.call('HGET', state, 'advertised_at')) or 0
  if advertisedAt + COUNTS_MS < now and drift() ~= 0 then setDrift(0, 0) end
  local requests, tokens = windowSums()
  local first = redis.call('LINDEX', window, 0)
  local hasChanged = false
  while first do
    local step, oldRequests, oldTokens = parseStep(first)
    if step * STEP_MS + COUNTS_MS > now then break end
    redis.call('LPOP', window)
    requests, tokens, hasChanged = requests - oldRequests, tokens - oldTokens, true
    first = redis.call('LINDEX', window, 0)
  end
  if not first then requests, tokens, hasChanged = 0, drift(), true end
  if hasChanged then setWindowSums(requests, tokens) end
  return requests, tokens
end

-- Returns the tokens that are older than a minute and still count here, because the time that a request takes
-- to the upstream varies.
local function tokensPastMinute()
  local past = 0
  for _, entry in ipairs(redis.call('LRANGE', window, 0, 11)) do
    local step, _, tokens = parseStep(entry)
    if step * STEP_MS + MINUTE_MS > now then break end
    past = past + tokens
  end
  return past
end
`,
});

/**
 * quotaSignals is how workers announce to each other that a quota has changed: as messages on a channel that
 * has the name of the quota's state.
 */
export const quotaSignals = defineLibrary({
  keys: ['state'],
  uses: [clock],
  lua: /* lua */ `
-- Announces that there may be more to reserve.
local function wakeDispatchers() redis.call('PUBLISH', state, '') end

-- Announces that no worker may send for this many milliseconds.
local function announcePause(ms) redis.call('PUBLISH', state, text(math.max(1, ms))) end

-- Announces that a pause is over, except for the time that a 429 has named.
local function announceEndOfPause()
  local limitedUntil = tonumber(redis.call('HGET', state, 'rate_limited_until')) or 0
  redis.call('PUBLISH', state, text(math.max(0, limitedUntil - now)))
end
`,
});

/** quotaReservations is what jobs have reserved of a quota, each under a lease. */
export const quotaReservations = defineLibrary({
  keys: ['leases', 'reservations'],
  uses: [quotaWindow],
  lua: /* lua */ `
-- status: 0 reserved, 1 its create request was sent, 2 the upstream has counted it.
local function reservationOf(id)
  local stored = redis.call('HGET', reservations, id)
  if not stored then return nil end
  local step, tokens, status, input, class = string.match(stored, '^(%d+):(%d+):(%d):(%d+):(.*)$')
  return {
    step = tonumber(step), tokens = tonumber(tokens), input = tonumber(input), class = class,
    isSent = status ~= '0', isCounted = status == '2'
  }
end

-- Returns the completion window that the class of a reservation ends with: '2h', '8h', 'other', or nil.
local function windowOf(class) return string.match(class, '@(%w+)$') end

-- Responses within a window have places of their own. Their number is kept beside the leases.
local function addWindowed(count)
  local known = tonumber(redis.call('HGET', state, 'windowed')) or 0
  redis.call('HSET', state, 'windowed', text(math.max(0, known + count)))
end

local function storeReservation(id, reservation, untilMs)
  redis.call('ZADD', leases, text(untilMs), id)
  local status = reservation.isCounted and '2' or reservation.isSent and '1' or '0'
  redis.call('HSET', reservations, id, table.concat({
    text(reservation.step), text(reservation.tokens), status, text(reservation.input), reservation.class
  }, ':'))
end

-- Tokens reserved for jobs that the upstream has not counted yet.
local function pendingTokens()
  return math.max(0, tonumber(redis.call('HGET', state, 'pending_tokens')) or 0)
end
local function addPendingTokens(tokens)
  redis.call('HSET', state, 'pending_tokens', text(math.max(0, pendingTokens() + tokens)))
end

-- Tokens reserved beyond their input for jobs that the upstream has counted. Our charges can exceed the
-- upstream's count by at most this number.
local function overEstimate()
  return math.max(0, tonumber(redis.call('HGET', state, 'over_estimate')) or 0)
end
local function addOverEstimate(tokens)
  redis.call('HSET', state, 'over_estimate', text(math.max(0, overEstimate() + tokens)))
end
local function overEstimateOf(reservation) return math.max(0, reservation.tokens - reservation.input) end

-- The probe has ended without a result: the next job becomes the probe at once.
local function endProbe()
  redis.call('HDEL', state, 'probe_job')
  if redis.call('HEXISTS', state, 'probe_at') == 1 then redis.call('HSET', state, 'probe_at', text(now)) end
end

-- \`reservation\` is that of the job; nil when it has none.
local function releaseLease(id, reservation)
  if reservation and reservation.isCounted then addOverEstimate(-overEstimateOf(reservation))
  elseif reservation then addPendingTokens(-reservation.tokens) end
  if redis.call('HGET', state, 'probe_job') == id then endProbe() end
  if reservation and windowOf(reservation.class) then addWindowed(-1) end
  redis.call('ZREM', leases, id)
  redis.call('HDEL', reservations, id)
end

-- Takes back the charge of a reservation whose create request was never sent.
local function refund(reservation) correctCharge(reservation, -1, -reservation.tokens) end

-- Releases what dead workers have reserved.
local function releaseExpiredLeases()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, 1000)) do
    local reservation = reservationOf(id)
    if reservation and not reservation.isSent then refund(reservation) end
    releaseLease(id, reservation)
  end
end
`,
});
