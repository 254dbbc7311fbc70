import { createScript } from './script.ts';

/**
 * Clears the record of a failed or cancelled job, just before BullMQ is told to run it again. A crash in between leaves a
 * failed job without a record: it shows as failed, and the retry can be repeated.
 *
 * KEYS job, failed, run, response, index live, completed, failed, cancelled · ARGV id
 * Returns 'missing', 'unfinished' (not among BullMQ's failed jobs), 'ok'.
 */
export const reopenScript = createScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 'unfinished' end
redis.call('DEL', KEYS[3], KEYS[4])
for index = 6, 8 do redis.call('ZREM', KEYS[index], ARGV[1]) end
redis.call('ZADD', KEYS[5], redis.call('HGET', KEYS[1], 'timestamp'), ARGV[1])
return 'ok'
`);
