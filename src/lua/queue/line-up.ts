import { createScript } from '../../redis/script.ts';
import { lineLua } from './line.ts';

/**
 * Puts jobs into the line. Before BullMQ gets them: a crash in between leaves a place without a job, which is passed over, and never a job
 * without a place. One that BullMQ has already and that it does not keep for the line is left alone, unless it is the caller's to move ('1').
 *
 * KEYS line…, delayed, deadlines · ARGV prefix of job keys, for each job: id, tenant, order, deadline (ms, '': none), '1' when it is the caller's
 */
export const lineUpScript = createScript(`
${lineLua()}
for i = 2, #ARGV, 5 do
  local id, tenant = ARGV[i], ARGV[i + 1]
  if ARGV[i + 4] == '1' or redis.call('EXISTS', ARGV[1] .. id) == 0 or isDelayedFar(KEYS[6], id) then
    redis.call('ZADD', lineOf(tenant), ARGV[i + 2], id)
    arrive(tenant)
    if ARGV[i + 3] ~= '' then redis.call('ZADD', KEYS[7], ARGV[i + 3], id) end
  end
end
`);
