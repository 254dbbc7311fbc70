import { createScript } from '../../redis/script.ts';
import { STATE_LUA } from './state.ts';

/**
 * The first step of every attempt: claims the record for the worker that holds the lock, and tells what is known.
 * Jobs that came from a bare BullMQ client get their place in the indexes here.
 *
 * KEYS job, lock, run, response, index all, live, completed, failed, cancelled, journal, and for a job of a tenant: tenants, its tenant's index
 * ARGV id, lock token, created (ms), now (ms), attempts that BullMQ has counted, the tenant ('': none)
 * Returns `{'lost'}` (another worker holds the lock), `{'finished', record}` (it ended before a crash could tell BullMQ),
 * `{'ungranted', record}` (it has not had its turn in the line), `{'open', record}`.
 */
export const beginScript = createScript(`
${STATE_LUA}
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 'lost' } end
if redis.call('HEXISTS', KEYS[3], 'status') == 1 then
  -- A reply that is lost with its connection is asked for again: the same start gets the same answer.
  if not isRetriedByHand(KEYS[3], KEYS[1]) or isBegun(KEYS[3], KEYS[1]) then
    redis.call('HSET', KEYS[3], 'stalled', stalledCount(KEYS[1]), 'begun', redis.call('HGET', KEYS[1], 'processedOn'))
    return { 'finished', redis.call('HGETALL', KEYS[3]) }
  end
  -- Retried by hand: a fresh run, a fresh purchase. BullMQ counts its attempts on, we count from one.
  clearRun(KEYS[3], KEYS[4], KEYS[10])
  redis.call('HSET', KEYS[3], 'attempts_before', ARGV[5])
  for index = 7, 9 do redis.call('ZREM', KEYS[index], ARGV[1]) end
end
redis.call('ZADD', KEYS[5], 'NX', ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[6], 'NX', ARGV[3], ARGV[1])
if ARGV[6] ~= '' then
  redis.call('SADD', KEYS[11], ARGV[6])
  redis.call('ZADD', KEYS[12], 'NX', ARGV[3], ARGV[1])
end
local run = redis.call('HMGET', KEYS[3], 'grant', 'upstream_id', 'background', 'cancel_requested_at')
local isRunning = run[2] and run[3] == '1'
redis.call('HSET', KEYS[3], 'begun', redis.call('HGET', KEYS[1], 'processedOn'))
if not isRunning and not run[1] and not run[4] then return { 'ungranted', redis.call('HGETALL', KEYS[3]) } end
redis.call('HSETNX', KEYS[3], 'started_at', ARGV[4])
local before = redis.call('HGET', KEYS[3], 'attempts_before') or 0
redis.call('HSET', KEYS[3], 'attempt', ARGV[5] - before + 1)
redis.call('PERSIST', KEYS[3])
redis.call('PERSIST', KEYS[10])
redis.call('PUBLISH', KEYS[10], 'status')
return { 'open', redis.call('HGETALL', KEYS[3]) }
`);
