import { defineScript } from '../redis/script.ts';
import { finishedIndexes } from './job-state.ts';

/**
 * claimIdempotencyKeys lets the callers of one idempotency key put its job into one model at a time. Callers
 * who chose the same model may all go on: BullMQ takes one of their jobs.
 *
 * `claims` is for each job: its id, its model. Returns for each 1, or 0 where a job of another model is being
 * put in.
 */
export const claimIdempotencyKeys = defineScript({
  name: 'enqueue.claim',
  keys: ['claimPrefix'],
  args: ['ttlMs'],
  rest: 'claims',
  lua: /* lua */ `
local granted = {}
for i = 1, #claims, 2 do
  local claim, model = claimPrefix .. claims[i], claims[i + 1]
  local holder = redis.call('GET', claim)
  if holder and holder ~= model then granted[#granted + 1] = 0
  else
    redis.call('SET', claim, model, 'PX', ttlMs)
    granted[#granted + 1] = 1
  end
end
return granted
`,
});

/**
 * indexNewJobs lists jobs that are about to be put into BullMQ under ids that may be taken by then. It checks
 * in the same step whether they are taken: a job that another caller has put in may be finished already, and
 * must not be listed as unfinished again. It clears what an earlier job of the same id left behind when it
 * was removed through BullMQ alone.
 *
 * `jobs` is for each job: id, time of creation (ms). `tenant` is '' for none.
 */
export const indexNewJobs = defineScript({
  name: 'enqueue.index',
  keys: ['indexAll', 'indexLive', 'tenants', 'tenantIndex'],
  args: ['tenant', 'jobPrefix', 'runPrefix', 'responsePrefix', 'eventLogPrefix'],
  rest: 'jobs',
  uses: [finishedIndexes],
  lua: /* lua */ `
for i = 1, #jobs, 2 do
  local id, created = jobs[i], jobs[i + 1]
  if redis.call('EXISTS', jobPrefix .. id) == 0 then
    redis.call('UNLINK', runPrefix .. id, responsePrefix .. id, eventLogPrefix .. id)
    removeFromFinished(id)
    redis.call('ZADD', indexAll, created, id)
    redis.call('ZADD', indexLive, created, id)
    if tenant ~= '' then
      redis.call('SADD', tenants, tenant)
      redis.call('ZADD', tenantIndex, created, id)
    end
  end
end
`,
});
