import { createScript } from '../../redis/script.ts';
import { STATE_LUA } from './state.ts';

/**
 * Gives the newest unfinished jobs in a model's line their places in the indexes: one that a bare BullMQ client added has
 * none until it is started, and one that was retried on Bull Board has that of a finished job until then.
 *
 * Bounded, because a list is read often and a line may be long: what lies deeper is listed from its start.
 *
 * KEYS wait, prioritized, delayed, index all, live · ARGV beginning of a job's key, of a record's key, how many of each
 */
export const adoptScript = createScript(`
${STATE_LUA}
local last = ARGV[3] - 1
local newest = {
  redis.call('LRANGE', KEYS[1], 0, last),
  redis.call('ZREVRANGE', KEYS[2], 0, last),
  redis.call('ZREVRANGE', KEYS[3], 0, last),
}
for _, ids in ipairs(newest) do
  for _, id in ipairs(ids) do
    local created = not redis.call('ZSCORE', KEYS[5], id) and redis.call('HGET', ARGV[1] .. id, 'timestamp')
    if created and isOpen(ARGV[2] .. id, ARGV[1] .. id, 'waiting') then
      redis.call('ZADD', KEYS[4], 'NX', created, id)
      redis.call('ZADD', KEYS[5], created, id)
    end
  end
end
`);
