import { defineScript } from '../../redis/script.ts';
import { COST_WITHOUT_LIMIT } from '../fair-queue-library.ts';
import { abandonedLeases } from './lease.ts';
import { quotaEstimates } from './quota.ts';
import { ownRefusals } from './report.ts';
import { quotaReservations } from './window.ts';
import { windowPlaces } from './window-places.ts';

/**
 * quotaReserve reserves requests, tokens and slots in flight for jobs. A job gets all three or nothing.
 *
 * **The order.** Of the tenants with jobs left, the one with the lowest tag is next, and a reservation moves
 * that tenant's tag on by cost / weight. The cost of a job is the largest share of a minute's limits that it
 * takes: of requests, of tokens, or of the time of all slots in flight (as in dominant resource fairness).
 * Where tokens bind, a tenant of small jobs therefore gets as many tokens as one of large jobs.
 *
 * **Gaps.** A job whose tokens do not fit now is passed over and has a claim: a job behind it starts only if
 * enough tokens stay free for the claimant at the time at which the claimant will fit. The claimant starts no
 * later than if no other job started until then, and small jobs use the tokens that the claimant cannot use.
 * The claim does not bind jobs before it in the order.
 *
 * Each call of the script makes a new claim for its jobs. The field `claim` stores the claim for other queues
 * that share the quota: it binds them once it is 15 seconds old. The claim ends when its job starts, or when
 * no dispatcher has asked for that job for three seconds, as after a cancel.
 *
 * **The pace.** Starts are spread evenly over the minute, with a few seconds' worth at once after a pause: a
 * limit that is used up in its first second leaves the queue idle for the other 59. One job may exceed the
 * pace, and the next job waits until the pace is kept again. The 60-second window is never exceeded. Up to a
 * twentieth of the token limit stays free, because a job may turn out to be one of the large ones. The pace
 * of tokens is a tenth faster than the even share, to make up for what a pause has left unused. Requests need
 * no such factor: only tokens make a larger job wait longer. Large jobs, which need more than those few
 * seconds' worth, have a pace of their own. The pace of the other jobs counts only those few seconds' worth
 * of a large job, so that small jobs do not wait for the rest of its tokens.
 *
 * `max*` are the configured limits, '' for none. `evenIfGone` is '1' to reserve even though the upstream does
 * not have the model. `jobs` has for each job its id, its estimated input tokens, its class, its tenant, and
 * that tenant's tag and weight.
 *
 * Returns `{reason, wait (ms), end of the leases (Unix ms), 1 if only large jobs have to wait, costs,
 * windows, answers…}`. The answers are in the order of `jobs` and end with the last job that has a
 * reservation: the tokens reserved for the job, -1 when another dispatcher has reserved for it, or '' when it
 * was passed over. `costs` are in the same order, and the windows as `grantedWindows` returns them. The
 * reason is '' when there was enough for all, up to `most` jobs.
 *
 * Right after a pause, jobs that were refused before come last: a job that the upstream refuses for a reason
 * of that job alone must not hold up the others.
 */
export const quotaReserve = defineScript({
  name: 'quota.reserve',
  keys: ['refusals'],
  args: [
    ...['maxRequests', 'maxTokens', 'maxInFlight', 'leaseMs', 'evenIfGone'],
    ...['most', 'maxWindowed', 'windows', 'runningLeaseMs', 'abandonedMs'],
  ],
  uses: [quotaReservations, quotaEstimates, windowPlaces, ownRefusals, abandonedLeases],
  rest: 'jobs',
  lua: /* lua */ `
local CATCH_UP, PROBE_ANSWER_MS, ADVERTISED_FOR_MS = 1.1, 60000, 86400000
local CLAIM_BINDS_OTHERS_MS, CLAIM_EXPIRES_MS = 15000, 3000
local FIELDS = 6
local function fieldOf(i, n) return jobs[FIELDS * (i - 1) + n] end
slideWindow()
releaseExpiredLeases()

local names = {
  'rate_limited_until', 'probe_at', 'gone_until', 'next_request', 'next_token', 'next_large',
  'next_start', 'advertised_requests', 'advertised_tokens', 'advertised_at', 'windowed', 'no_windows_until'
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

local windowFor = windowsOfJobs(at('no_windows_until'))
local answers, costs, lastAnswer, onlyLarge = {}, {}, 0, false
local function answer(i, tokens, cost)
  answers[i], costs[i], lastAnswer = tokens, cost, math.max(lastAnswer, i)
end
local function reply(reason, wait)
  local granted = grantedWindows(windowFor, lastAnswer)
  for i = 1, lastAnswer do answers[i], costs[i] = answers[i] or '', costs[i] or '' end
  return { reason, math.ceil(wait), text(now + leaseMs), onlyLarge and 1 or 0, costs, granted, unpack(answers) }
end

local breaker = redis.call('HGET', state, 'breaker')
if evenIfGone ~= '1' and (at('gone_until') > now or breaker == 'gone') then
  return reply('gone', math.max(1000, at('gone_until') - now))
end
if breaker and now < at('probe_at') then return reply(breaker, at('probe_at') - now) end
if now < at('rate_limited_until') then return reply('rate_limited', at('rate_limited_until') - now) end
-- While the circuit breaker is open, one job is sent as a probe.
local count = math.min(#jobs / FIELDS, breaker and 1 or tonumber(most))

-- The margin for very large jobs is one and a half times the largest excess so far, because a larger one may
-- still come.
local spareTokens = tokenLimit and math.min((average('excess') or 0) * 1.5, tokenLimit / 20) or 0
-- The margin also covers jobs whose requests took long to reach the upstream.
local margin = math.max(0, spareTokens - tokensPastMinute())
local tokensCountMs = margin > 0 and MINUTE_MS or COUNTS_MS
local msPerToken = tokenLimit and 60000 / tokenLimit / CATCH_UP
if msPerToken then redis.call('HSET', state, 'ms_per_token', text(msPerToken)) end

-- Right after a 429's time is over, jobs start one by one: the jobs that waited must not all arrive together.
local isWarmingUp = at('rate_limited_until') > 0 and now < at('rate_limited_until') + 1500
local leased, windowed = redis.call('ZCARD', leases), at('windowed')
if leased == 0 then redis.call('HDEL', state, 'pending_tokens', 'over_estimate', 'windowed') end
if leased == 0 then windowed = 0 end
local inFlight = math.max(0, leased - windowed)
local nextRequest, nextStart = at('next_request'), at('next_start')
-- The next job waits a minute at most, even after a wrong estimate or when the limit was raised since.
local nextToken = math.min(at('next_token'), now + BURST_MS + 60000)
local nextLarge = math.min(at('next_large'), now + BURST_MS + 60000)

local function isLarge(tokens) return tokenLimit and tokens * msPerToken > BURST_MS end

-- Returns what is in the way of every job, whatever its size.
local function obstacleToAny()
  local requestSum = windowSums()
  if requestLimit and requestSum + 1 > requestLimit then
    return 'requests_per_minute', windowWait(true, requestSum + 1 - requestLimit, COUNTS_MS)
  elseif requestLimit and nextRequest > now + BURST_MS then
    return 'requests_per_minute', nextRequest - now - BURST_MS
  elseif isWarmingUp and nextStart > now then
    return 'rate_limited', nextStart - now
  end
  return '', 0
end

-- Returns whether there is no place for a response within a window, or for any other.
local function isFull(window)
  if window then return windowed >= tonumber(maxWindowed) end
  return slotLimit and inFlight >= slotLimit
end

-- Returns how many tokens the window lacks for a job, and whether the job has to wait for them.
local function lackOf(tokens)
  if not tokenLimit then return 0, false end
  local _, tokenSum = windowSums()
  local lack = tokenSum + tokens + margin - tokenLimit
  return lack, lack > 0 and tokenSum > 0
end

-- Returns the milliseconds until the pace allows a job.
local function paceWait(tokens)
  if not tokenLimit then return 0 end
  return math.max(0, (isLarge(tokens) and nextLarge or nextToken) - now - BURST_MS)
end

-- The claim: the job, when it will fit, and how many tokens other jobs may use before that.
local claim
local function makeClaim(id, tokens)
  local lack, isLacking = lackOf(tokens)
  local waitMs, gone = paceWait(tokens), 0
  if isLacking then waitMs = math.max(waitMs, windowWait(false, lack, tokensCountMs)) end
  for _, entry in ipairs(redis.call('LRANGE', window, 0, -1)) do
    local step, _, stepTokens = parseStep(entry)
    if step * STEP_MS + tokensCountMs > now + waitMs then break end
    gone = gone + stepTokens
  end
  claim = { id = id, waitMs = waitMs, spare = gone - lack, isLarge = isLarge(tokens) }
end

local stored = redis.call('HGET', state, 'claim') or ''
local storedId, storedTokens, since, seen = string.match(stored, '^(.*) (%d+) (%d+) (%d+)$')
if storedId and (now - seen > CLAIM_EXPIRES_MS or redis.call('ZSCORE', leases, storedId)) then
  redis.call('HDEL', state, 'claim')
  storedId = nil
end
local function storeClaim(id, tokens)
  if storedId and storedId ~= id then return end
  local fields = { id, text(tokens), storedId and since or text(now), text(now) }
  redis.call('HSET', state, 'claim', table.concat(fields, ' '))
end

local order, hasStored = {}, false
for i = 1, #jobs / FIELDS do
  order[i] = i
  hasStored = hasStored or fieldOf(i, 1) == storedId
end
local isByRefusals = (breaker or isWarmingUp) and redis.call('EXISTS', refusals) == 1
if isByRefusals then
  local counts = {}
  for i = 1, #order do counts[i] = refusalsOf(fieldOf(i, 1)) end
  table.sort(order, function(a, b)
    if counts[a] ~= counts[b] then return counts[a] < counts[b] end
    return a < b
  end)
end
if storedId and not hasStored and now - since >= CLAIM_BINDS_OTHERS_MS then
  makeClaim(storedId, tonumber(storedTokens))
end

local byTenant, tenants = {}, {}
for _, i in ipairs(order) do
  local name = isByRefusals and '' or fieldOf(i, 4)
  if not byTenant[name] then
    byTenant[name] = { first = 1, tag = tonumber(fieldOf(i, 5)), weight = tonumber(fieldOf(i, 6)) }
    tenants[#tenants + 1] = byTenant[name]
  end
  table.insert(byTenant[name], i)
end

-- Takes the next job of the order. Returns it and its tenant.
local function takeNext()
  local best
  for _, tenant in ipairs(tenants) do
    if tenant[tenant.first] and (not best or tenant.tag < best.tag) then best = tenant end
  end
  if not best then return nil end
  best.first = best.first + 1
  return best[best.first - 1], best
end

local function costOf(tokens, class, window)
  local cost = math.max(requestLimit and 1 / requestLimit or 0, tokenLimit and tokens / tokenLimit or 0)
  local durationMs = slotLimit and not window and (average('duration_ms:' .. class) or average('duration_ms'))
  if durationMs then cost = math.max(cost, durationMs / (60000 * slotLimit)) end
  return cost > 0 and cost or ${COST_WITHOUT_LIMIT}
end

local reason, wait, taken, probe = '', 0, 0, nil
local isOutOfSlots, hasWaitingWindow = false, false
while taken < count and reason == '' do
  local i, tenant = takeNext()
  if not i then break end
  local id, input, class = fieldOf(i, 1), tonumber(fieldOf(i, 2)), fieldOf(i, 3)
  local tokens = math.ceil(expectedInput(input) + expectedOutput(class))
  local window = windowFor[i]
  local cost = costOf(tokens, class, window)
  local untilMs = redis.call('ZSCORE', leases, id)
  local ended = untilMs and endAbandonedLease(id, untilMs)
  if ended then inFlight, windowed, untilMs = inFlight - ended.slots, windowed - ended.places, nil end
  if untilMs then
    answer(i, '-1', '')
    taken, tenant.tag = taken + 1, tenant.tag + cost / tenant.weight
  elseif isFull(window) then
    redis.call('HSET', state, 'slot_awaited', 1)
    if window then hasWaitingWindow = true else isOutOfSlots = true end
    -- Jobs of the other kind may have places.
    if not hasWindows then break end
  else
    reason, wait = obstacleToAny()
    if reason ~= '' then break end
    local paceMs, _, isLacking = paceWait(tokens), lackOf(tokens)
    if isLacking or (paceMs > 0 and isLarge(tokens)) then
      if not claim then
        makeClaim(id, tokens)
        storeClaim(id, tokens)
      end
      if breaker then reason, wait = 'tokens_per_minute', claim.waitMs end
    elseif paceMs > 0 then reason, wait = 'tokens_per_minute', paceMs
    elseif not claim or claim.id == id or tokens <= claim.spare then
      local step = charge(1, tokens)
      if window then class = class .. '@' .. window end
      storeReservation(id, { step = step, tokens = tokens, input = input, class = class }, now + leaseMs)
      addPendingTokens(tokens)
      if window then
        addWindowed(1)
        windowed = windowed + 1
      else inFlight = inFlight + 1 end
      if requestLimit then nextRequest = math.max(nextRequest, now) + 60000 / requestLimit end
      if tokenLimit then
        local ms = tokens * msPerToken
        nextToken = math.max(nextToken, now) + math.min(ms, BURST_MS)
        if isLarge(tokens) then nextLarge = math.max(nextLarge, now) + ms end
      end
      nextStart = now + 20
      if claim then claim.spare = claim.spare - tokens end
      if storedId == id then redis.call('HDEL', state, 'claim') end
      answer(i, text(tokens), string.format('%.9g', cost))
      taken, tenant.tag, probe = taken + 1, tenant.tag + cost / tenant.weight, id
    end
  end
end
if reason == '' and taken < count then
  if isOutOfSlots then reason, wait = 'max_in_flight', 1000
  elseif hasWaitingWindow and not claim then reason, wait, onlyLarge = 'max_in_flight_windowed', 1000, true end
end
if claim and reason == '' and taken < count then
  reason, wait, onlyLarge = 'tokens_per_minute', claim.waitMs, claim.isLarge
end
redis.call('HSET', state,
  'next_request', text(nextRequest), 'next_token', text(nextToken), 'next_large', text(nextLarge),
  'next_start', text(nextStart))
-- The next probe is sent when this probe has shown whether the upstream works, or can no longer show it.
if breaker and probe then
  redis.call('HSET', state, 'probe_at', text(now + PROBE_ANSWER_MS), 'probe_job', probe)
end
return reply(reason, wait)
`,
});
