import { createScript } from '../../redis/script.ts';

/**
 * Brings the id of a response home. Whoever sent the create may do so, by its purchase token, even when it has lost the job's lock
 * meanwhile: its successor adopts what was bought instead of buying again. Once another create has taken the mark, nobody waits for this one.
 *
 * KEYS lock, run · ARGV lock token, purchase token, field, value, …
 * Returns `'superseded'` (not written), or, written: `'finished'` (the job has its final status), `'lost'` (another has the lock), `'cancel'`, `'ok'`.
 */
export const boughtScript = createScript(`
local run = redis.call('HMGET', KEYS[2], 'submitting', 'upstream_id', 'status', 'cancel_requested_at')
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
-- A Redis that was restarted may have forgotten the mark, its last second; who still has the lock need not care.
local forgotten = mine and not run[1] and not run[2] and not run[3]
-- The same id again, after a reply that was lost with its connection.
local again = run[2] and run[2] == ARGV[4]
if not again then
  if run[1] ~= ARGV[2] and not forgotten then return 'superseded' end
  redis.call('HDEL', KEYS[2], 'submitting', 'submitting_at', 'submitting_over')
  redis.call('HINCRBY', KEYS[2], 'purchases', 1)
  for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
if run[3] then return 'finished' end
if not mine then return 'lost' end
if run[4] then return 'cancel' end
return 'ok'
`);
