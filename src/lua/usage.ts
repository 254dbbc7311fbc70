import { defineLibrary, defineScript } from '../redis/script.ts';

/** How long the usage of a day is kept, in days. */
const USAGE_KEPT_DAYS = 400;
/**
 * How many estimates of one model may wait for a correction. Beyond this number, the estimate that is due
 * first is dropped.
 */
const MOST_ESTIMATES = 100_000;
/**
 * How long the estimates of a model are kept after the last one was added, in seconds. No worker looks at the
 * estimates of a model that is no longer configured.
 */
const ESTIMATES_KEPT_S = 7 * 86_400;

/**
 * openEstimates keeps what purchases have probably cost until the upstream says it. `estimatesDue` orders
 * them by the time of the next look-up.
 */
const openEstimates = defineLibrary({
  keys: ['estimates', 'estimatesDue'],
  lua: /* lua */ `
local function forgetEstimate(response)
  redis.call('ZREM', estimatesDue, response)
  return redis.call('HDEL', estimates, response) == 1
end

local function keepEstimate(response, estimate, lookAt)
  redis.call('HSET', estimates, response, estimate)
  redis.call('ZADD', estimatesDue, lookAt, response)
  if redis.call('ZCARD', estimatesDue) > ${MOST_ESTIMATES} then
    forgetEstimate(redis.call('ZRANGE', estimatesDue, 0, 0)[1])
  end
  redis.call('EXPIRE', estimates, ${ESTIMATES_KEPT_S})
  redis.call('EXPIRE', estimatesDue, ${ESTIMATES_KEPT_S})
end
`,
});

/**
 * usageCorrection replaces an estimate by the usage that the upstream reports. It does so once: it removes
 * the estimate in the same step, and corrects nothing when there is no estimate. It changes the sums of the
 * day on which the estimate was booked, and the job's own cost if the job's record still exists.
 *
 * `usage` is the key of any day of the model. `real` has the same texts as a `booking`, and the usage as
 * JSON.
 */
const usageCorrection = defineLibrary({
  keys: ['run', 'usage'],
  uses: [openEstimates],
  lua: /* lua */ `
local function correctEstimate(response, real)
  local text = redis.call('HGET', estimates, response)
  if not text then return false end
  forgetEstimate(response)
  local estimate = cjson.decode(text)
  local function replace(key, field, old, new)
    if new ~= '' and new ~= '0' then redis.call('HINCRBY', key, field, new) end
    if old ~= '' and old ~= '0' then redis.call('HINCRBY', key, field, '-' .. old) end
  end
  local isEstimate = real.estimated == '1'
  local day = string.sub(usage, 1, -11) .. estimate.day
  if redis.call('EXISTS', day) == 1 then
    local function sum(field, old, new) replace(day, estimate.tenant .. '\\0' .. field, old, new) end
    for _, field in ipairs({ 'input', 'cached', 'output', 'reasoning', 'nano_usd', 'saved_nano' }) do
      sum(field, estimate[field], real[field])
    end
    sum('unpriced', estimate.nano_usd == '' and '1' or '0', real.nano_usd == '' and '1' or '0')
    sum('estimated', '1', isEstimate and '1' or '0')
    sum('estimated_nano', estimate.nano_usd, isEstimate and real.nano_usd or '0')
  end
  if redis.call('EXISTS', run) == 1 then
    replace(run, 'cost_nano', estimate.nano_usd, real.nano_usd)
    replace(run, 'saved_nano', estimate.saved_nano, real.saved_nano)
    if not isEstimate then redis.call('HINCRBY', run, 'estimates', -1) end
    local known = redis.call('HMGET', run, 'booked', 'usage')
    if known[1] == response and known[2] == 'null' then redis.call('HSET', run, 'usage', real.usage) end
  end
  return true
end
`,
});

/**
 * usageSums adds one purchase to the sums of a tenant's day. `usage` is the key of the day; `booked` has the
 * texts of a `booking` (see usageBooking).
 */
const usageSums = defineLibrary({
  keys: ['usage'],
  lua: /* lua */ `
local function addToSum(booked, field, amount)
  if amount ~= '0' then redis.call('HINCRBY', usage, booked.tenant .. '\\0' .. field, amount) end
end

local function addPurchase(booked)
  local requests = redis.call('HINCRBY', usage, booked.tenant .. '\\0requests', 1)
  if requests == 1 then redis.call('EXPIRE', usage, ${USAGE_KEPT_DAYS * 86_400}) end
  for _, field in ipairs({ 'input', 'cached', 'output', 'reasoning' }) do
    addToSum(booked, field, booked[field])
  end
  if booked.nano_usd == '' then addToSum(booked, 'unpriced', '1')
  else addToSum(booked, 'nano_usd', booked.nano_usd) end
  addToSum(booked, 'saved_nano', booked.saved_nano)
  if booked.estimated == '1' then
    addToSum(booked, 'estimated', '1')
    if booked.nano_usd ~= '' then addToSum(booked, 'estimated_nano', booked.nano_usd) end
  end
end
`,
});

/**
 * usageBooking adds what a response cost to the usage of a day, in the very step in which the script writes
 * the response's end. A crash before that step leaves nothing booked, and the next worker books it. Each
 * response is booked once: the record names the last response that was booked. So a script that is sent again
 * after a lost reply, or a second end of the response, books nothing. A second end that knows the usage
 * corrects an estimate.
 *
 * What the simulator answered costs nothing and is no usage: only the job's own cost becomes known, as 0.
 *
 * `booking` is '' when no response has ended, or a JSON object of texts: `response` ('' for the one in the
 * record, or the create whose mark is there; without either nothing is booked), `tenant`, `input`, `cached`,
 * `output`, `reasoning`, `nano_usd` ('' for unpriced), `saved_nano` (what the completion window has saved),
 * `usage` (JSON; 'null' for an estimated usage), `estimated` ('1' when the cost is an estimate, or ''). An
 * estimate with `look_at` (ms, or '') is kept until the upstream says what was used; `since` (ms), `job`,
 * `headers` (JSON) and `discount` (0 to 1) are for the worker that asks the upstream.
 */
export const usageBooking = defineLibrary({
  keys: ['run', 'usage'],
  args: ['booking'],
  uses: [usageCorrection, usageSums],
  lua: /* lua */ `
local function estimateOf(booked)
  local kept = { day = string.sub(usage, -10) }
  for _, field in ipairs({
    'tenant', 'input', 'cached', 'output', 'reasoning', 'nano_usd', 'saved_nano', 'since', 'job', 'headers',
    'discount'
  }) do kept[field] = booked[field] end
  return cjson.encode(kept)
end

-- Returns whether this call was the first to book the response, or has replaced its estimate.
local function bookUsage()
  if booking == '' then return false end
  local booked = cjson.decode(booking)
  local known = redis.call('HMGET', run, 'upstream_id', 'booked', 'simulated', 'purchase_mark')
  local response = booked.response ~= '' and booked.response or known[1] or known[4] and 'create ' .. known[4]
  if not response then return false end
  if response == known[2] or redis.call('HEXISTS', estimates, response) == 1 then
    return booked.usage ~= 'null' and correctEstimate(response, booked)
  end
  redis.call('HSET', run, 'booked', response)
  if known[3] == '1' then
    redis.call('HINCRBY', run, 'cost_nano', 0)
    return true
  end
  addPurchase(booked)
  if booked.nano_usd ~= '' then redis.call('HINCRBY', run, 'cost_nano', booked.nano_usd) end
  if booked.saved_nano ~= '0' then redis.call('HINCRBY', run, 'saved_nano', booked.saved_nano) end
  if booked.estimated == '1' then
    redis.call('HINCRBY', run, 'estimates', 1)
    if booked.look_at ~= '' then keepEstimate(response, estimateOf(booked), booked.look_at) end
    if booked.usage == 'null' and string.sub(response, 1, 7) == 'create ' then
      redis.call('HSET', run, 'create_estimate', estimateOf(booked))
    end
  end
  return true
end
`,
});

/**
 * bookCall adds a call that has no job to the usage of a day: `booking` as in usageBooking. Each run of the
 * script adds it once more.
 */
export const bookCall = defineScript({
  name: 'usage.book-call',
  args: ['booking'],
  uses: [usageSums],
  lua: /* lua */ `
addPurchase(cjson.decode(booking))
return 1
`,
});

/**
 * lateResponse moves the estimate of a create to the response that the create bought, when the response's id
 * arrives after the create was booked. What the upstream then reports for the response replaces the estimate,
 * so that the purchase counts once.
 */
export const lateResponse = defineLibrary({
  keys: ['run'],
  args: ['responseId'],
  uses: [openEstimates],
  lua: /* lua */ `
local function moveCreateEstimate()
  local estimate = redis.call('HGET', run, 'create_estimate')
  if not estimate then return end
  redis.call('HSET', run, 'booked', responseId)
  redis.call('HDEL', run, 'create_estimate')
  keepEstimate(responseId, estimate, cjson.decode(estimate).since)
end
`,
});

/**
 * takeEstimates reserves due estimates for this worker until `lentUntil` (ms). Until then no other worker
 * takes them. If this worker dies, they are due again at that time. Returns at most `most` of them: id of the
 * response, estimate as JSON, …
 */
export const takeEstimates = defineScript({
  name: 'usage.take-estimates',
  keys: ['estimates', 'estimatesDue'],
  args: ['now', 'lentUntil', 'most'],
  lua: /* lua */ `
local taken = {}
for _, response in ipairs(redis.call('ZRANGEBYSCORE', estimatesDue, '-inf', now, 'LIMIT', 0, most)) do
  local estimate = redis.call('HGET', estimates, response)
  if estimate then
    redis.call('ZADD', estimatesDue, 'XX', lentUntil, response)
    taken[#taken + 1] = response
    taken[#taken + 1] = estimate
  else redis.call('ZREM', estimatesDue, response) end
end
return taken
`,
});

/**
 * settleEstimate ends an estimate: `real` is what the upstream says, as `usageCorrection` takes it, or ''
 * when the upstream will not say and the estimate stays as it is booked. Returns 1 when this call has ended
 * the estimate, and 0 when it was ended before.
 */
export const settleEstimate = defineScript({
  name: 'usage.settle-estimate',
  args: ['response', 'real'],
  uses: [usageCorrection],
  lua: /* lua */ `
if real == '' then return forgetEstimate(response) and 1 or 0 end
return correctEstimate(response, cjson.decode(real)) and 1 or 0
`,
});
