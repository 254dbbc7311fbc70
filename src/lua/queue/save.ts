import { createScript } from '../../redis/script.ts';
import { BOOK_LUA } from './book.ts';

/**
 * Writes fields of a record, for the holder of the lock only: a worker that lost it must not touch what is another's.
 * An empty value removes its field. A response that ended without ending its job is booked in the same step.
 *
 * KEYS lock, run, spend · ARGV lock token, booking, field, value, field, value, …
 * Returns `'lost'`, `'cancel'` (written, and somebody has asked to cancel), `'ok'`.
 */
export const saveScript = createScript(`
${BOOK_LUA}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
book(KEYS[2], KEYS[3], ARGV[2])
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
if redis.call('HEXISTS', KEYS[2], 'cancel_requested_at') == 1 then return 'cancel' end
return 'ok'
`);
