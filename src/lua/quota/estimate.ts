import { createScript } from '../../redis/script.ts';
import { WINDOW_LUA } from './window.ts';

/** Lua shared by the quota's scripts: what a job is expected to use, from what such jobs have really used. After `WINDOW_LUA`. */
export const ESTIMATE_LUA = `
local function average(field) return tonumber(redis.call('HGET', USAGE, field)) end

local function inputOf(estimated) return estimated * (average('input_ratio') or 1) end

local function outputOf(class)
  local effort = string.match(class, '([^/]*)$')
  return average('output:' .. class) or average('output:*/' .. effort) or average('output:*') or 1000
end
`;

/**
 * What jobs are expected to use. Takes nothing.
 *
 * KEYS state, window, leases, held, usage · ARGV for each job: input tokens as estimated, class
 * Returns input and output tokens, job after job.
 */
export const expectScript = createScript(`
${WINDOW_LUA}${ESTIMATE_LUA}
local expected = {}
for i = 1, #ARGV, 2 do
  expected[#expected + 1] = math.ceil(inputOf(tonumber(ARGV[i])))
  expected[#expected + 1] = math.ceil(outputOf(ARGV[i + 1]))
end
return expected
`);

/** Whether the upstream has said that it has no such model. KEYS as above. Returns 1 or 0. */
export const isGoneScript = createScript(`
${WINDOW_LUA}
return (tonumber(redis.call('HGET', STATE, 'gone_until')) or 0) > now and 1 or 0
`);
