import { createScript } from '../../redis/script.ts';
import { BOOK_LUA } from './book.ts';
import { OUTBOX_LUA } from './outbox.ts';
import { STATE_LUA } from './state.ts';

/**
 * Writes a final status, once: by the holder of the lock only, never over another final one. A cancel that was asked for
 * before this instant wins over whatever the attempt brought home; its usage is kept.
 *
 * KEYS job, lock, run, response, index live, completed, failed, cancelled, journal, outbox, spend
 * ARGV id, lock token ('': for a job that BullMQ has failed by itself), status, now (ms), created (ms), time to live (s), response (JSON or ''), finished channel, booking, field, value, …
 * Returns `'lost'`, or the status that the record now has.
 */
export const finishScript = createScript(`
${STATE_LUA}${OUTBOX_LUA}${BOOK_LUA}
if ARGV[2] == '' then
  local ended = redis.call('HEXISTS', KEYS[1], 'finishedOn') == 1
  if not ended or redis.call('HEXISTS', KEYS[1], 'returnvalue') == 1 then return 'lost' end
elseif redis.call('GET', KEYS[2]) ~= ARGV[2] then return 'lost' end
local known = redis.call('HGET', KEYS[3], 'status')
if known then
  -- A cancel was announced before the upstream had said what it used.
  if known == 'cancelled' and ARGV[3] == 'cancelled' and ARGV[10] == 'usage' and ARGV[11] ~= 'null' then
    redis.call('HSET', KEYS[3], 'usage', ARGV[11])
  end
  book(KEYS[3], KEYS[11], ARGV[9])
  return known
end
local status = ARGV[3]
if redis.call('HEXISTS', KEYS[3], 'cancel_requested_at') == 1 then status = 'cancelled' end
for i = 10, #ARGV, 2 do
  local field = ARGV[i]
  local belongs = (field ~= 'summary' or status == 'completed') and ((field ~= 'error' and field ~= 'refusal') or status == 'failed')
  if belongs then redis.call('HSET', KEYS[3], field, ARGV[i + 1]) end
end
if status == 'completed' then redis.call('SET', KEYS[4], ARGV[7], 'EX', ARGV[6]) end
if status ~= 'failed' then redis.call('HDEL', KEYS[3], 'error') end
redis.call('HSET', KEYS[3], 'status', status, 'finished_at', ARGV[4], 'stalled', stalledCount(KEYS[1]))
redis.call('EXPIRE', KEYS[3], ARGV[6])
redis.call('EXPIRE', KEYS[9], ARGV[6])
redis.call('ZREM', KEYS[5], ARGV[1])
local index = { completed = KEYS[6], failed = KEYS[7], cancelled = KEYS[8] }
redis.call('ZADD', index[status], ARGV[5], ARGV[1])
redis.call('PUBLISH', ARGV[8], ARGV[1])
redis.call('PUBLISH', KEYS[9], 'status')
book(KEYS[3], KEYS[11], ARGV[9])
putIntoOutbox(KEYS[10], KEYS[1], ARGV[1], ARGV[4])
return status
`);
