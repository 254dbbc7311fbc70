import { createScript } from '../../redis/script.ts';
import { lineLua } from './line.ts';
import { OUTBOX_LUA } from './outbox.ts';
import { STATE_LUA } from './state.ts';

/**
 * Cancels a job wherever it stands, in one step, so that no worker can take it in between.
 *
 * - Not active: it is final at once, whether or not a worker is up: taken out of the line and put among BullMQ's failed
 *   jobs, with BullMQ's own event, so that the board and other BullMQ clients learn of it like of any other end.
 *   Some keep their place in the line, where the next worker finds them and tells BullMQ: a released job, whose response
 *   may be running at the upstream and is to be stopped; and jobs of bare BullMQ clients with a parent or a
 *   deduplication, whose books only BullMQ can keep. A `stalled` mark of -1 keeps them final meanwhile.
 * - Active: a durable mark, then a nudge to the worker that holds it.
 *
 * KEYS job, lock, delayed, prioritized, active, wait, failed, events, run, response, index all, live, cancelled, journal, outbox, line…
 * ARGV id, now (ms), cancel channel, time to live (s), reason, finished channel, tenant
 * Returns 'missing', 'finished' (completed or failed), 'already' (cancelled before), 'cancelled', 'cancelling' (active).
 */
export const cancelScript = createScript(`
${STATE_LUA}${OUTBOX_LUA}${lineLua(16)}
local state = stateOf(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1])
if state == 'missing' then return 'missing' end
if not isOpen(KEYS[9], KEYS[1], state) then
  return redis.call('HGET', KEYS[9], 'status') == 'cancelled' and 'already' or 'finished'
end
if state == 'completed' or state == 'failed' then return 'finished' end
-- Retried by hand and not begun yet: what the earlier run left behind would hide the mark.
if redis.call('HEXISTS', KEYS[9], 'status') == 1 then clearRun(KEYS[9], KEYS[10], KEYS[14]) end
if state == 'active' then
  redis.call('HSETNX', KEYS[9], 'cancel_requested_at', ARGV[2])
  redis.call('PUBLISH', ARGV[3], ARGV[1])
  return 'cancelling'
end
local removed = 0
local bound = redis.call('HMGET', KEYS[1], 'parentKey', 'deid')
if not bound[1] and not bound[2] and redis.call('HEXISTS', KEYS[9], 'upstream_id') == 0 then
  removed = redis.call('ZREM', KEYS[3], ARGV[1]) + redis.call('ZREM', KEYS[4], ARGV[1])
  if removed == 0 then removed = redis.call('LREM', KEYS[6], 1, ARGV[1]) end
end
local stalled = '-1'
if removed > 0 then
  leave(ARGV[7], ARGV[1])
  stalled = stalledCount(KEYS[1])
  redis.call('ZADD', KEYS[7], ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[1], 'finishedOn', ARGV[2], 'failedReason', ARGV[5])
  redis.call('XADD', KEYS[8], '*', 'event', 'failed', 'jobId', ARGV[1], 'failedReason', ARGV[5], 'prev', state)
end
redis.call('HDEL', KEYS[9], 'error')
redis.call('HSET', KEYS[9], 'status', 'cancelled', 'finished_at', ARGV[2], 'stalled', stalled)
redis.call('EXPIRE', KEYS[9], ARGV[4])
redis.call('EXPIRE', KEYS[14], ARGV[4])
local created = redis.call('HGET', KEYS[1], 'timestamp')
redis.call('ZADD', KEYS[11], 'NX', created, ARGV[1])
redis.call('ZREM', KEYS[12], ARGV[1])
redis.call('ZADD', KEYS[13], created, ARGV[1])
redis.call('PUBLISH', ARGV[6], ARGV[1])
redis.call('PUBLISH', KEYS[14], 'status')
putIntoOutbox(KEYS[15], KEYS[1], ARGV[1], ARGV[2])
return 'cancelled'
`);
