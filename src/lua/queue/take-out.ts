import { createScript } from '../../redis/script.ts';

/**
 * Takes a job out of the outbox, unless it has come to another end since it was looked at: that one is still to be told.
 *
 * KEYS outbox · ARGV id, the time of the end (ms) that was told
 */
export const takeOutScript = createScript(`
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end
`);
