import { defineLibrary, defineScript } from '../../redis/script.ts';
import { quotaWindow } from './window.ts';

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
 * quotaSnapshot reads a quota as it is now: the sums in its state are only as recent as the last reservation.
 * It writes nothing, so that it also works when the memory of Redis is full.
 *
 * Returns `{now (ms), requests and tokens that count, jobs in flight, fields of the state, {mean tokens of a
 * job, mean duration of a response (ms), and for the windows of 2 and of 8 hours how late the latest answer was
 * (ms) and how many there were}}`.
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
local averages = redis.call('HMGET', usage,
  'tokens', 'duration_ms', 'late_ms:2h', 'n:late_ms:2h', 'late_ms:8h', 'n:late_ms:8h')
return {
  now, requests, math.floor(tokens), redis.call('ZCOUNT', leases, '(' .. text(now), '+inf'),
  redis.call('HGETALL', state), averages
}
`,
});
