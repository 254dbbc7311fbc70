import { defineLibrary, defineScript } from '../../redis/script.ts';

/**
 * renewLocks renews the locks of active jobs, for the worker that holds them. It takes the place of BullMQ's
 * extendLocks (bullmq 6.7.0), which a full Redis refuses. PEXPIRE needs no memory, so that locks are renewed
 * even while Redis accepts no other write.
 *
 * The name of a job's lock is `lockPrefix`, the job's id and `:lock`. `lockMs` is how long a lock lasts.
 * `held` is a list: id, token, id, token, … With `retake` ('1') a lock that has run out is taken again if the
 * job is still in BullMQ's active list, which shows that no other worker has taken the job. Returns the ids
 * of the jobs whose locks the worker does not hold.
 */
export const renewLocks = defineScript({
  name: 'locks.renew',
  keys: ['active', 'stalled'],
  args: ['lockPrefix', 'lockMs', 'retake'],
  rest: 'held',
  lua: /* lua */ `
local lost = {}
for i = 1, #held, 2 do
  local id, token = held[i], held[i + 1]
  local lock = lockPrefix .. id .. ':lock'
  local holder = redis.call('GET', lock)
  if holder == token then
    redis.call('PEXPIRE', lock, lockMs)
    redis.call('SREM', stalled, id)
  elseif not holder and retake == '1' and redis.call('LPOS', active, id) then
    redis.call('SET', lock, token, 'PX', lockMs)
    redis.call('SREM', stalled, id)
  else
    lost[#lost + 1] = id
  end
end
return lost
`,
});

/**
 * forgivePause runs before BullMQ's check for stalled jobs. BullMQ marks all active jobs at one check, and at
 * the next recovers those that are still marked and have no lock. When no worker has checked for `pauseMs`,
 * Redis took no writes, so no worker could renew its locks. Then the marks are removed, and living workers
 * have until the next check to take their locks again.
 */
export const forgivePause = defineScript({
  name: 'locks.forgive-pause',
  keys: ['meta', 'stalled'],
  args: ['pauseMs'],
  lua: /* lua */ `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('HGET', meta, 'o3q.looked_at')
redis.call('HSET', meta, 'o3q.looked_at', now)
if last and now - last > tonumber(pauseMs) then redis.call('DEL', stalled) end
`,
});

/**
 * runOwner says whether an attempt may write the record of its job's run: it holds the job's lock, or the
 * lock has run out and no other attempt has begun since. The lock shows other workers that this one lives.
 * While Redis takes no writes the lock cannot be renewed, but what was bought meanwhile still belongs to this
 * attempt. The record's `holder` is the lock token of the last attempt that has begun.
 */
export const runOwner = defineLibrary({
  keys: ['lock', 'run'],
  args: ['lockToken'],
  lua: /* lua */ `
local function ownsRun()
  local holder = redis.call('GET', lock)
  if holder then return holder == lockToken end
  return redis.call('HGET', run, 'holder') == lockToken
end
`,
});
