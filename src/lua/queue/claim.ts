import { createScript } from '../../redis/script.ts';

/**
 * Lets the callers of one idempotency key put its job into one model at a time. Those of the same model may all go on: BullMQ takes one of them.
 *
 * KEYS claims… · ARGV time to live (ms), models…
 * Returns for each 1, or 0 where another model is being put in.
 */
export const claimScript = createScript(`
local granted = {}
for i, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if held and held ~= ARGV[i + 1] then granted[i] = 0
  else
    redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1])
    granted[i] = 1
  end
end
return granted
`);
