/**
 * Lua shared by the quota's scripts: the clock, the window of the last minute and what is held of it.
 *
 * "A minute" is any 60 seconds. What is charged is written down in steps of a tenth of a second and counts for 61 seconds: one for the step and for the way to
 * the upstream, which is not equally long each time.
 *
 * KEYS of every script: state, window, leases, held, usage.
 */
export const WINDOW_LUA = `
local STATE, WINDOW, LEASES, HELD, USAGE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local STEP_MS, COUNTS_MS, MINUTE_MS = 100, 61000, 60050
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function text(number) return string.format('%.14g', number) end

local function charged(entry)
  local step, requests, tokens = string.match(entry, '^(%d+):(-?%d+):(-?%d+)$')
  return tonumber(step), tonumber(requests), tonumber(tokens)
end

local function sums()
  local known = redis.call('HMGET', STATE, 'requests', 'tokens')
  return tonumber(known[1]) or 0, tonumber(known[2]) or 0
end

local function setSums(requests, tokens)
  redis.call('HSET', STATE, 'requests', text(requests), 'tokens', text(tokens))
end

-- Adds to the step of this moment, which is the last one.
local function charge(requests, tokens)
  local step = math.floor(now / STEP_MS)
  local last = redis.call('LINDEX', WINDOW, -1)
  local lastStep, lastRequests, lastTokens
  if last then lastStep, lastRequests, lastTokens = charged(last) end
  if lastStep and lastStep >= step then
    redis.call('LSET', WINDOW, -1, text(lastStep) .. ':' .. text(lastRequests + requests) .. ':' .. text(lastTokens + tokens))
    step = lastStep
  else
    redis.call('RPUSH', WINDOW, text(step) .. ':' .. text(requests) .. ':' .. text(tokens))
  end
  local allRequests, allTokens = sums()
  setSums(allRequests + requests, allTokens + tokens)
  return step
end

-- By the even share the next tokens are due so much later.
local function repace(tokens)
  local pace = redis.call('HMGET', STATE, 'next_token', 'token_ms')
  if pace[2] then redis.call('HSET', STATE, 'next_token', text((tonumber(pace[1]) or 0) + tokens * pace[2])) end
end

-- Changes a step, if it still counts: found by halves, since there are hundreds of steps and thousands of changes.
local function amend(step, requests, tokens)
  local low, high = 0, redis.call('LLEN', WINDOW) - 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local at, oldRequests, oldTokens = charged(redis.call('LINDEX', WINDOW, middle))
    if at == step then
      redis.call('LSET', WINDOW, middle, text(at) .. ':' .. text(oldRequests + requests) .. ':' .. text(oldTokens + tokens))
      local allRequests, allTokens = sums()
      setSums(allRequests + requests, allTokens + tokens)
      return true
    end
    if at < step then low = middle + 1 else high = middle - 1 end
  end
  return false
end

-- Also when the step counts no longer: the pace of what comes next was set by it.
local function correct(step, requests, tokens)
  amend(step, requests, tokens)
  repace(tokens)
end

-- By how much the sum of tokens is more than what is charged: what the upstream has told of jobs whose usage is not known yet, and of others.
local function unlike() return tonumber(redis.call('HGET', STATE, 'unlike')) or 0 end
local function setUnlike(tokens)
  local allRequests, allTokens = sums()
  setSums(allRequests, allTokens + tokens - unlike())
  repace(tokens - unlike())
  redis.call('HSET', STATE, 'unlike', text(tokens))
end

-- Forgets what counts no longer.
local function slide()
  local toldAt = tonumber(redis.call('HGET', STATE, 'told_at')) or 0
  if toldAt + COUNTS_MS < now and unlike() ~= 0 then setUnlike(0) end
  local requests, tokens = sums()
  local first = redis.call('LINDEX', WINDOW, 0)
  local slid = false
  while first do
    local step, oldRequests, oldTokens = charged(first)
    if step * STEP_MS + COUNTS_MS > now then break end
    redis.call('LPOP', WINDOW)
    requests, tokens, slid = requests - oldRequests, tokens - oldTokens, true
    first = redis.call('LINDEX', WINDOW, 0)
  end
  if not first then
    requests, tokens = 0, unlike()
    slid = true
  end
  if slid then setSums(requests, tokens) end
  return requests, tokens
end

-- What counts here only because the way to the upstream is not equally long each time.
local function pastTokens()
  local past = 0
  for _, entry in ipairs(redis.call('LRANGE', WINDOW, 0, 11)) do
    local step, _, tokens = charged(entry)
    if step * STEP_MS + MINUTE_MS > now then break end
    past = past + tokens
  end
  return past
end

local function heldBy(id)
  local held = redis.call('HGET', HELD, id)
  if not held then return nil end
  local step, tokens, sent, input, class = string.match(held, '^(%d+):(%d+):(%d):(%d+):(.*)$')
  return {
    step = tonumber(step), tokens = tonumber(tokens), sent = sent ~= '0', counted = sent == '2', input = tonumber(input), class = class
  }
end

-- Tokens that are reserved for jobs which the upstream has not counted yet, as far as it has told.
local function pending() return math.max(0, tonumber(redis.call('HGET', STATE, 'pending')) or 0) end
local function addPending(tokens) redis.call('HSET', STATE, 'pending', text(math.max(0, pending() + tokens))) end

-- Tokens that are reserved for jobs which it has counted, beyond their input: at most so much less than is reserved can have been counted.
local function slack() return math.max(0, tonumber(redis.call('HGET', STATE, 'slack')) or 0) end
local function addSlack(tokens) redis.call('HSET', STATE, 'slack', text(math.max(0, slack() + tokens))) end
local function slackOf(held) return math.max(0, held.tokens - held.input) end

local function hold(id, held, untilMs)
  redis.call('ZADD', LEASES, text(untilMs), id)
  local sent = held.counted and '2' or held.sent and '1' or '0'
  redis.call('HSET', HELD, id, text(held.step) .. ':' .. text(held.tokens) .. ':' .. sent .. ':' .. text(held.input) .. ':' .. held.class)
end

-- The probe has ended without a verdict: the next job is one, at once.
local function freeProbe()
  redis.call('HDEL', STATE, 'probing')
  for _, field in ipairs({ 'probe_at', 'open_until' }) do
    if redis.call('HEXISTS', STATE, field) == 1 then redis.call('HSET', STATE, field, text(now)) end
  end
end

local function letGo(id)
  local held = heldBy(id)
  if held and held.counted then addSlack(-slackOf(held))
  elseif held then addPending(-held.tokens) end
  if redis.call('HGET', STATE, 'probing') == id then freeProbe() end
  redis.call('ZREM', LEASES, id)
  redis.call('HDEL', HELD, id)
end

-- Takes back what was reserved and never sent.
local function refund(held)
  correct(held.step, -1, -held.tokens)
end

-- What dead workers have held.
local function endLeases()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', text(now), 'LIMIT', 0, 1000)) do
    local held = heldBy(id)
    if held and not held.sent then refund(held) end
    letGo(id)
  end
end

-- There may be more to take.
local function wakeAll() redis.call('PUBLISH', STATE, '') end

-- For how long nobody may send.
local function stopAll(ms) redis.call('PUBLISH', STATE, text(math.max(1, ms))) end

-- A stop is over, but for the time that the upstream has named.
local function endStop()
  local blockedUntil = tonumber(redis.call('HGET', STATE, 'blocked_until')) or 0
  redis.call('PUBLISH', STATE, text(math.max(0, blockedUntil - now)))
end
`;
