import { createScript } from '../../redis/script.ts';

/**
 * The mark before a purchase: from here until the response's id is home nobody can know whether there is one. It replaces the mark of an
 * earlier create that nobody knows the end of, and counts that one, in the same step: so no crash can hide it.
 *
 * KEYS lock, run · ARGV lock token, purchase token, now (ms)
 * Returns `{'lost'}`, `{'cancel'}` (somebody has asked to), `{'bought', record}` (the earlier create has brought its id home after all), `{'ok', replaced (1 or 0)}`.
 */
export const submitScript = createScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return { 'lost' } end
local run = redis.call('HMGET', KEYS[2], 'status', 'cancel_requested_at', 'upstream_id', 'background', 'submitting')
if run[1] or run[2] then return { 'cancel' } end
-- What was bought in the foreground went down with its connection.
if run[3] and run[4] == '1' then return { 'bought', redis.call('HGETALL', KEYS[2]) } end
-- The same create again, after a reply that was lost with its connection.
if run[5] == ARGV[2] then return { 'ok', 0 } end
if run[5] then redis.call('HINCRBY', KEYS[2], 'uncertain_purchases', 1) end
redis.call('HDEL', KEYS[2], 'upstream_id', 'upstream_status', 'cursor', 'output_characters', 'error', 'seen_at', 'submitting_over')
redis.call('HSET', KEYS[2], 'submitting', ARGV[2], 'submitting_at', ARGV[3])
return { 'ok', run[5] and 1 or 0 }
`);
