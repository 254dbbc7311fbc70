import { createScript } from '../../redis/script.ts';
import { WINDOW_LUA } from './window.ts';

/**
 * A quota as it is now, for who only watches: the sums in its state are as old as the last create. Writes nothing, so that a Redis that is full answers too.
 *
 * KEYS state, window, leases, held, usage
 * Returns `{now (ms), requests and tokens that count, jobs in flight, fields of the state…}`.
 */
export const lookScript = createScript(`
${WINDOW_LUA}
local requests, tokens = 0, 0
for _, entry in ipairs(redis.call('LRANGE', WINDOW, 0, -1)) do
  local step, stepRequests, stepTokens = charged(entry)
  if step * STEP_MS + COUNTS_MS > now then requests, tokens = requests + stepRequests, tokens + stepTokens end
end
local toldAt = tonumber(redis.call('HGET', STATE, 'told_at')) or 0
if toldAt + COUNTS_MS > now then tokens = tokens + unlike() end
return { now, requests, math.floor(tokens), redis.call('ZCOUNT', LEASES, '(' .. text(now), '+inf'), redis.call('HGETALL', STATE) }
`);
