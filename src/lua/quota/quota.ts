import { defineLibrary, defineScript } from '../../redis/script.ts';
import { clock } from './clock.ts';
import { quotaReservations, quotaWindow } from './window.ts';

/**
 * BURST_MS is how much of the even share may be used at once after a pause, in milliseconds of that share.
 */
export const BURST_MS = 3000;

/** quotaEstimates estimates what a job will use from what similar jobs have used. */
export const quotaEstimates = defineLibrary({
  keys: ['usage'],
  lua: /* lua */ `
local function average(field) return tonumber(redis.call('HGET', usage, field)) end

local function effortOf(class) return string.match(class, '([^/]*)$') end

local function expectedInput(estimated) return estimated * (average('input_ratio') or 1) end

local function expectedOutput(class)
  return average('output:' .. class) or average('output:*/' .. effortOf(class)) or average('output:*') or 1000
end
`,
});

/**
 * quotaExpect returns what jobs are expected to use, and changes nothing. `jobs` has for each job its
 * estimated input tokens and its class. The reply has for each job its expected input and output tokens.
 */
export const quotaExpect = defineScript({
  name: 'quota.expect',
  uses: [quotaEstimates],
  rest: 'jobs',
  lua: /* lua */ `
local expected = {}
for i = 1, #jobs, 2 do
  expected[#expected + 1] = math.ceil(expectedInput(tonumber(jobs[i])))
  expected[#expected + 1] = math.ceil(expectedOutput(jobs[i + 1]))
end
return expected
`,
});

/**
 * quotaReserve reserves requests, tokens and slots in flight for jobs, in their order. A job gets all three
 * or nothing.
 *
 * Starts are spread evenly over the minute, with a few seconds' worth at once after a pause: a limit that is
 * used up in its first second leaves the queue idle for the other 59. One job may exceed the pace, and the
 * next one waits that long. The 60-second window is never exceeded. Up to a twentieth of the token limit
 * stays free, because a job may turn out to be one of the large ones. The pace of tokens is a tenth faster
 * than the even share, to make up for what a pause has left unused. Requests need no such factor: only tokens
 * make a larger job wait longer.
 *
 * `max*` are the configured limits, '' for none. `evenIfGone` is '1' to reserve even though the upstream does
 * not have the model. `jobs` has for each job its id, its estimated input tokens and its class.
 *
 * Returns `{reason, wait (ms), end of the leases (Unix ms), answers…}`. There is an answer for each job that
 * was considered: the tokens reserved for it, -1 when another dispatcher has reserved for it, or '' when it
 * was passed over. The reason is '' when there was enough for all, up to `most` jobs.
 *
 * Right after a pause, jobs that were refused before come last: a job that the upstream refuses for its own
 * reasons must not hold up the others.
 */
export const quotaReserve = defineScript({
  name: 'quota.reserve',
  keys: ['refusals'],
  args: ['maxRequests', 'maxTokens', 'maxInFlight', 'leaseMs', 'evenIfGone', 'most'],
  uses: [quotaReservations, quotaEstimates],
  rest: 'jobs',
  lua: /* lua */ `
local BURST_MS, CATCH_UP, PROBE_ANSWER_MS, ADVERTISED_FOR_MS = ${BURST_MS}, 1.1, 60000, 86400000
slideWindow()
releaseExpiredLeases()

local names = {
  'rate_limited_until', 'probe_at', 'gone_until', 'next_request', 'next_token', 'next_start', 'advertised_requests', 'advertised_tokens', 'advertised_at'
}
local fields = {}
for i, value in ipairs(redis.call('HMGET', state, unpack(names))) do fields[names[i]] = tonumber(value) end
local function at(field) return fields[field] or 0 end

local function lowerLimit(configured, advertised)
  local one = tonumber(configured)
  if one and advertised then return math.min(one, advertised) end
  return one or advertised
end
local isAdvertised = now - at('advertised_at') < ADVERTISED_FOR_MS
local requestLimit = lowerLimit(maxRequests, isAdvertised and fields.advertised_requests or nil)
local tokenLimit = lowerLimit(maxTokens, isAdvertised and fields.advertised_tokens or nil)
local slotLimit = tonumber(maxInFlight)

local answers = {}
local function reply(reason, wait)
  return { reason, math.ceil(wait), text(now + leaseMs), unpack(answers) }
end

local breaker = redis.call('HGET', state, 'breaker')
if evenIfGone ~= '1' and (at('gone_until') > now or breaker == 'gone') then
  return reply('gone', math.max(1000, at('gone_until') - now))
end
if breaker and now < at('probe_at') then return reply(breaker, at('probe_at') - now) end
if now < at('rate_limited_until') then return reply('rate_limited', at('rate_limited_until') - now) end
-- While the circuit breaker is open, one job is sent as a probe.
local count = math.min(#jobs / 3, breaker and 1 or tonumber(most))

-- Returns the milliseconds until so many charges of the window no longer count.
local function windowWait(isRequests, excess, countsMs)
  for _, entry in ipairs(redis.call('LRANGE', window, 0, -1)) do
    local step, requests, tokens = parseStep(entry)
    local wait = step * STEP_MS + countsMs - now
    if wait > 0 then excess = excess - (isRequests and requests or tokens) end
    if excess <= 0 then return wait end
  end
  -- The upstream counts more than we have charged: other users of the key.
  return 500
end

-- The margin for very large jobs is one and a half times the largest excess so far, because a larger one may
-- still come.
local spareTokens = tokenLimit and math.min((average('excess') or 0) * 1.5, tokenLimit / 20) or 0
-- The same margin serves jobs whose requests were long on their way.
local margin = math.max(0, spareTokens - tokensPastMinute())
local tokensCountMs = margin > 0 and MINUTE_MS or COUNTS_MS
local msPerToken = tokenLimit and 60000 / tokenLimit / CATCH_UP
if msPerToken then redis.call('HSET', state, 'ms_per_token', text(msPerToken)) end

-- Right after a 429's time is over, jobs start one by one: those that waited must not all arrive together.
local isWarmingUp = at('rate_limited_until') > 0 and now < at('rate_limited_until') + 1500
local inFlight = redis.call('ZCARD', leases)
if inFlight == 0 then redis.call('HDEL', state, 'pending_tokens', 'over_estimate') end
local nextRequest, nextStart = at('next_request'), at('next_start')
-- The next job waits a minute at most, even after a wrong estimate or when the limit was raised since.
local nextToken = math.min(at('next_token'), now + BURST_MS + 60000)
local reason, wait = '', 0

local function obstacleTo(tokens)
  local requestSum, tokenSum = windowSums()
  if slotLimit and inFlight >= slotLimit then
    redis.call('HSET', state, 'slot_awaited', 1)
    return 'max_in_flight', 1000
  elseif requestLimit and requestSum + 1 > requestLimit then
    return 'requests_per_minute', windowWait(true, requestSum + 1 - requestLimit, COUNTS_MS)
  elseif tokenLimit and tokenSum > 0 and tokenSum + tokens + margin > tokenLimit then
    return 'tokens_per_minute', windowWait(false, tokenSum + tokens + margin - tokenLimit, tokensCountMs)
  elseif requestLimit and nextRequest > now + BURST_MS then
    return 'requests_per_minute', nextRequest - now - BURST_MS
  elseif tokenLimit and nextToken > now + BURST_MS then
    return 'tokens_per_minute', nextToken - now - BURST_MS
  elseif isWarmingUp and nextStart > now then
    return 'rate_limited', nextStart - now
  end
  return '', 0
end

local function refusalsOf(id)
  local count = 0
  for _, field in ipairs({ id, 'inside ' .. id }) do
    local known = redis.call('HGET', refusals, field)
    if known then count = math.max(count, tonumber(string.match(known, ':(%d+)$'))) end
  end
  return count
end
local order = {}
for i = 1, #jobs / 3 do order[i] = i end
if (breaker or isWarmingUp) and redis.call('EXISTS', refusals) == 1 then
  local counts = {}
  for i = 1, #order do counts[i] = refusalsOf(jobs[3 * i - 2]) end
  table.sort(order, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] < counts[b] end
    return a < b
  end)
end

local probe
for place = 1, count do
  local i = order[place]
  local id, input, class = jobs[3 * i - 2], tonumber(jobs[3 * i - 1]), jobs[3 * i]
  for passed = #answers + 1, i - 1 do answers[passed] = '' end
  if redis.call('ZSCORE', leases, id) then answers[i] = '-1'
  else
    local tokens = math.ceil(expectedInput(input) + expectedOutput(class))
    reason, wait = obstacleTo(tokens)
    if reason ~= '' then break end
    local step = charge(1, tokens)
    storeReservation(id, { step = step, tokens = tokens, input = input, class = class }, now + leaseMs)
    addPendingTokens(tokens)
    inFlight = inFlight + 1
    if requestLimit then nextRequest = math.max(nextRequest, now) + 60000 / requestLimit end
    if tokenLimit then nextToken = math.max(nextToken, now) + tokens * msPerToken end
    nextStart = now + 20
    answers[i] = text(tokens)
    probe = id
  end
end
redis.call('HSET', state,
  'next_request', text(nextRequest), 'next_token', text(nextToken), 'next_start', text(nextStart))
-- The next probe is sent when this one has brought a verdict, or when it can no longer bring one.
if breaker and probe then
  redis.call('HSET', state, 'probe_at', text(now + PROBE_ANSWER_MS), 'probe_job', probe)
end
return reply(reason, wait)
`,
});

/** quotaIsGone returns 1 while the upstream is known not to have the model. */
export const quotaIsGone = defineScript({
  name: 'quota.is-gone',
  keys: ['state'],
  uses: [clock],
  lua: /* lua */ `
local isGone = redis.call('HGET', state, 'breaker') == 'gone'
return (isGone or (tonumber(redis.call('HGET', state, 'gone_until')) or 0) > now) and 1 or 0
`,
});

/**
 * quotaSnapshot reads a quota as it is now: the sums in its state are only as recent as the last reservation.
 * It writes nothing, so that it also works when the memory of Redis is full.
 *
 * Returns `{now (ms), requests and tokens that count, jobs in flight, fields of the state, mean tokens, mean
 * duration}`.
 */
export const quotaSnapshot = defineScript({
  name: 'quota.snapshot',
  keys: ['leases', 'usage'],
  uses: [quotaWindow],
  lua: /* lua */ `
local requests, tokens = 0, 0
for _, entry in ipairs(redis.call('LRANGE', window, 0, -1)) do
  local step, stepRequests, stepTokens = parseStep(entry)
  if step * STEP_MS + COUNTS_MS > now then requests, tokens = requests + stepRequests, tokens + stepTokens end
end
local advertisedAt = tonumber(redis.call('HGET', state, 'advertised_at')) or 0
if advertisedAt + COUNTS_MS > now then tokens = tokens + drift() end
local means = redis.call('HMGET', usage, 'tokens', 'duration_ms')
return {
  now, requests, math.floor(tokens), redis.call('ZCOUNT', leases, '(' .. text(now), '+inf'),
  redis.call('HGETALL', state), means[1], means[2]
}
`,
});
