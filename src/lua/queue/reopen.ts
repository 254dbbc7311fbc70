import { createScript } from '../../redis/script.ts';
import { STATE_LUA } from './state.ts';

/**
 * Clears the record of a job that BullMQ has just been told to run again, so that it shows and is listed as waiting. A
 * crash before this leaves what a retry on Bull Board leaves: a job that runs afresh, and whose first start clears up.
 * A worker may have been quicker: what has been started since is not touched.
 *
 * KEYS job, run, response, index live, completed, failed, cancelled, journal · ARGV id
 */
export const reopenScript = createScript(`
${STATE_LUA}
-- BullMQ counts the starts of a job, and has forgotten them with the retry.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'ats') == 1 then return end
clearRun(KEYS[2], KEYS[3], KEYS[8])
for index = 5, 7 do redis.call('ZREM', KEYS[index], ARGV[1]) end
redis.call('ZADD', KEYS[4], redis.call('HGET', KEYS[1], 'timestamp'), ARGV[1])
redis.call('PUBLISH', KEYS[8], 'status')
`);
