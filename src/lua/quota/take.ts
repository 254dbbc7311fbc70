import { createScript } from '../../redis/script.ts';
import { ESTIMATE_LUA } from './estimate.ts';
import { WINDOW_LUA } from './window.ts';

/** So much of the even share may be used at once after a pause, in milliseconds of it. */
export const BURST_MS = 3000;

/**
 * Takes requests, tokens and places in flight for jobs, in their order, all three for a job or nothing; or tells for how long to wait.
 *
 * Starts are spread evenly over the minute, with a few seconds' worth at once after a pause: a limit that is used up in its first second
 * stands still for the other 59. Tokens may be overdrawn by one job, which the next one waits out; the window is never: a job has to fit even if it turns out
 * to be one of the large ones, for which up to a twentieth of the limit is left free. What a pause has left unused is made up for by a tenth more than the even
 * share, which only tokens need: the larger a job, the longer it waits.
 *
 * KEYS state, window, leases, held, usage
 * ARGV limits of requests and tokens a minute and of jobs in flight ('': none), how long a lease lasts (ms), whether to ask even though the upstream has said
 * that it has no such model ('1'), then for each job: id, input tokens as estimated, class
 * Returns `{reason, wait (ms), until when it is held (ms), answers…}`: an answer for each job that was looked at, `-1` (another dispatcher has taken it), or the tokens
 * reserved for it; the reason is '' when there was enough for all.
 */
export const takeScript = createScript(`
${WINDOW_LUA}${ESTIMATE_LUA}
local BURST_MS, CATCH_UP, FAILURES, PROBE_ANSWER_MS, TOLD_FOR_MS = ${BURST_MS}, 1.1, 5, 60000, 86400000
slide()
endLeases()
local known = redis.call('HMGET', STATE, 'blocked_until', 'probe_at', 'probe_ms', 'open_until', 'failures',
  'next_request', 'next_token', 'told_requests', 'told_tokens', 'gone_until', 'next_start', 'told_at')
local function at(i) return tonumber(known[i]) or 0 end
local failures = at(5)

local function lower(configured, told)
  local one, other = tonumber(configured), told and tonumber(told)
  if one and other then return math.min(one, other) end
  return one or other
end
local isTold = now - at(12) < TOLD_FOR_MS
local mostRequests = lower(ARGV[1], isTold and known[8])
local mostTokens = lower(ARGV[2], isTold and known[9])
local mostInFlight = tonumber(ARGV[3])
local leaseMs = tonumber(ARGV[4])

local answers = {}
local function answer(reason, wait) return { reason, math.ceil(wait), text(now + leaseMs), unpack(answers) } end

local most = (#ARGV - 5) / 3
if ARGV[5] ~= '1' and at(10) > now then return answer('gone', at(10) - now) end
local isDown = failures >= FAILURES
if known[2] and now < at(2) then return answer('quota_exhausted', at(2) - now) end
if isDown and now < at(4) then return answer('upstream_down', at(4) - now) end
if now < at(1) then return answer('rate_limited', at(1) - now) end
-- Money is out, or the upstream: one job is sent from time to time to see whether it is still so.
local isProbe = known[2] or isDown
if isProbe then most = 1 end

-- When enough of the window will count no longer.
local function windowWait(index, excess, countsMs)
  for _, entry in ipairs(redis.call('LRANGE', WINDOW, 0, -1)) do
    local step, requests, tokens = charged(entry)
    local wait = step * STEP_MS + countsMs - now
    if wait > 0 then excess = excess - (index == 1 and requests or tokens) end
    if excess <= 0 then return wait end
  end
  -- Others have it, as far as the upstream has told.
  return 500
end

-- Half as much again, since the largest is still to come.
local spareTokens = mostTokens and math.min((average('excess') or 0) * 1.5, mostTokens / 20) or 0
local tokenMs = mostTokens and 60000 / mostTokens / CATCH_UP
-- One margin for both: a very large job, and one that was long on its way.
local pastTokens = pastTokens()
local margin = math.max(0, spareTokens - pastTokens)
local tokensCountMs = margin > 0 and MINUTE_MS or COUNTS_MS
if tokenMs then redis.call('HSET', STATE, 'token_ms', text(tokenMs)) end

-- After a pause of everybody's the first few come one by one: those that waited must not arrive together.
local gentle = now < at(1) + 1500 and at(1) > 0
local inFlight = redis.call('ZCARD', LEASES)
if inFlight == 0 then redis.call('HDEL', STATE, 'pending', 'slack') end
-- What a wrong estimate, or a limit that was raised since, has put off is put off by a minute at most.
local nextRequest, nextToken, nextStart = at(6), math.min(at(7), now + BURST_MS + 60000), at(11)
local reason, wait = '', 0
for i = 1, most do
  local id, input, class = ARGV[3 + 3 * i], tonumber(ARGV[4 + 3 * i]), ARGV[5 + 3 * i]
  if not id then break end
  if redis.call('ZSCORE', LEASES, id) then answers[i] = '-1'
  else
    local tokens = math.ceil(inputOf(input) + outputOf(class))
    local requestSum, tokenSum = sums()
    if mostInFlight and inFlight >= mostInFlight then
      redis.call('HSET', STATE, 'awaited', 1)
      reason, wait = 'max_in_flight', 1000
    elseif mostRequests and requestSum + 1 > mostRequests then
      reason, wait = 'requests_per_minute', windowWait(1, requestSum + 1 - mostRequests, COUNTS_MS)
    elseif mostTokens and tokenSum > 0 and tokenSum + tokens + margin > mostTokens then
      reason, wait = 'tokens_per_minute', windowWait(2, tokenSum + tokens + margin - mostTokens, tokensCountMs)
    elseif mostRequests and nextRequest > now + BURST_MS then
      reason, wait = 'requests_per_minute', nextRequest - now - BURST_MS
    elseif mostTokens and nextToken > now + BURST_MS then
      reason, wait = 'tokens_per_minute', nextToken - now - BURST_MS
    elseif gentle and nextStart > now then
      reason, wait = 'rate_limited', nextStart - now
    end
    if reason ~= '' then break end
    hold(id, { step = charge(1, tokens), tokens = tokens, sent = false, input = input, class = class }, now + leaseMs)
    addPending(tokens)
    inFlight = inFlight + 1
    if mostRequests then nextRequest = math.max(nextRequest, now) + 60000 / mostRequests end
    if mostTokens then nextToken = math.max(nextToken, now) + tokens * tokenMs end
    nextStart = now + 20
    answers[i] = text(tokens)
  end
end
redis.call('HSET', STATE, 'next_request', text(nextRequest), 'next_token', text(nextToken), 'next_start', text(nextStart))
-- The next one is sent when this one has brought a verdict, or never will.
if isProbe and answers[1] and answers[1] ~= '-1' then
  redis.call('HSET', STATE, known[2] and 'probe_at' or 'open_until', text(now + PROBE_ANSWER_MS), 'probing', ARGV[6])
end
return answer(reason, wait)
`);
