import { createScript } from '../../redis/script.ts';

/**
 * Remembers that a response has ended and tells whoever listens, once for each webhook: the sender sends again until it
 * has been answered. In one step, so that what was remembered was also told, and the other way round.
 *
 * KEYS ended · ARGV member, id of the response, now, the oldest time that is kept, how many are kept, channel
 * Returns 1, or 0 for a webhook that is known.
 */
export const webhookScript = createScript(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[4])
if redis.call('ZADD', KEYS[1], 'NX', ARGV[3], ARGV[1]) == 0 then return 0 end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[5]))
redis.call('PUBLISH', ARGV[6], ARGV[2])
return 1
`);
