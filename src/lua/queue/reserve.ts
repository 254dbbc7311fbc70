import { createScript } from '../../redis/script.ts';

/**
 * Lists jobs that are about to be put in under ids that may be taken by then. In one step with the look whether they are: a job that has
 * been put in by another caller may be finished already, and must not be listed as unfinished again. What an earlier job of the same
 * id has left behind, because somebody removed it through BullMQ alone, is cleared.
 *
 * KEYS index all, live, completed, failed, cancelled, tenants, index of the tenant, then for each: job, run, response, journal
 * ARGV tenant ('': nobody's), then for each: id, created (ms)
 */
export const reserveScript = createScript(`
for i = 1, (#ARGV - 1) / 2 do
  local first, id, created = 4 + 4 * i, ARGV[2 * i], ARGV[2 * i + 1]
  if redis.call('EXISTS', KEYS[first]) == 0 then
    redis.call('UNLINK', KEYS[first + 1], KEYS[first + 2], KEYS[first + 3])
    for index = 3, 5 do redis.call('ZREM', KEYS[index], id) end
    redis.call('ZADD', KEYS[1], created, id)
    redis.call('ZADD', KEYS[2], created, id)
    if ARGV[1] ~= '' then
      redis.call('SADD', KEYS[6], ARGV[1])
      redis.call('ZADD', KEYS[7], created, id)
    end
  end
end
`);
