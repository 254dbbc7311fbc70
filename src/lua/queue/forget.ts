import { createScript } from '../../redis/script.ts';
import { STATE_LUA } from './state.ts';

/**
 * Deletes our part of a finished job: its record, its response, its places in the indexes. In one step with the look at
 * its state, so that a job which is being retried at this moment keeps the record of its new run. A crash before BullMQ
 * is told as well leaves a finished job that no list shows; it can be deleted again, and its retention ends it anyway.
 *
 * KEYS job, lock, delayed, prioritized, active, run, response, journal, indexes… · ARGV id
 * Returns 'missing', 'unfinished', 'ok'.
 */
export const forgetScript = createScript(`
${STATE_LUA}
local state = stateOf(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1])
if state == 'missing' then return 'missing' end
if state ~= 'completed' and state ~= 'failed' then return 'unfinished' end
redis.call('DEL', KEYS[6], KEYS[7], KEYS[8])
redis.call('PUBLISH', KEYS[8], 'status')
for index = 9, #KEYS do redis.call('ZREM', KEYS[index], ARGV[1]) end
return 'ok'
`);
