import { createScript } from '../../redis/script.ts';
import { lineLua } from './line.ts';

/** Lets a tenant's jobs wait while others go on. KEYS line… · ARGV tenant, until (ms), reason */
export const lineStopScript = createScript(`
${lineLua()}
redis.call('ZREM', TENANTS, ARGV[1])
redis.call('ZADD', STOPPED, ARGV[2], ARGV[1])
redis.call('HSET', REASONS, ARGV[1], ARGV[3])
`);

/** Ends a tenant's stop before its time. KEYS line… · ARGV tenant. Returns 1 when there was one. */
export const lineResumeScript = createScript(`
${lineLua()}
if redis.call('ZREM', STOPPED, ARGV[1]) == 0 then return 0 end
redis.call('HDEL', REASONS, ARGV[1])
if redis.call('EXISTS', lineOf(ARGV[1])) == 1 then arrive(ARGV[1]) end
return 1
`);
