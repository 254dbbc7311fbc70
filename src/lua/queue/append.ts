import { createScript } from '../../redis/script.ts';

/**
 * Adds an entry to the journal and writes how far the follower has come, in one step: whoever goes on after a crash resumes the upstream's
 * stream just behind the last event that is in the journal. For the holder of the lock only, and not after the end: who has read the
 * journal of a finished job has read it all.
 *
 * A journal that has grown too large takes no more events; its readers get the rest from the response, at the end. So it is where a Redis
 * has lost its last second: what comes after a hole would be read as if it followed what is before it.
 *
 * KEYS lock, run, journal · ARGV lock token, id of the entry, id of the one before it by the same writer or '', events (JSON or ''), reason of a
 * new attempt or '', most bytes, field, value, …
 * Returns `'lost'`, `'over'` (the job has its final status), `'cancel'` (written, and somebody has asked to), `'ok'`.
 */
export const appendScript = createScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local run = redis.call('HMGET', KEYS[2], 'status', 'cancel_requested_at', 'attempt', 'purchases', 'last_entry')
if run[1] then return 'over' end
-- The same entry again, after a reply that was lost with its connection.
local again = run[5] == ARGV[2]
if not again and ARGV[3] ~= '' and run[5] ~= ARGV[3] then redis.call('HSET', KEYS[2], 'journal_bytes', ARGV[6]) end
redis.call('HSET', KEYS[2], 'last_entry', ARGV[2])
for i = 7, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
local fields = { 'a', run[3] or '1', 'p', run[4] or '0' }
local size = again and 0 or redis.call('HINCRBY', KEYS[2], 'journal_bytes', #ARGV[4])
if ARGV[4] ~= '' and size <= tonumber(ARGV[6]) then
  fields[5], fields[6] = 'e', ARGV[4]
elseif ARGV[5] ~= '' then
  fields[5], fields[6] = 'r', ARGV[5]
end
if #fields > 4 and not again then
  redis.call('XADD', KEYS[3], '*', unpack(fields))
  redis.call('PUBLISH', KEYS[3], 'entry')
end
if run[2] then return 'cancel' end
return 'ok'
`);
