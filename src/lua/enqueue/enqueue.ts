import { parked } from '../../fair-queue/parked.ts';
import { defineScript } from '../../redis/script.ts';
import { fairQueueLibrary } from '../fair-queue-library.ts';
import { finishedIndexes } from '../job-state.ts';

/**
 * claimIdempotencyKeys makes sure that calls with one idempotency key put its job into only one model at a
 * time. Calls that chose the same model may all go on: BullMQ takes only one of their jobs.
 *
 * `claims` has for each job its id and its model. Returns for each job 1 when the call may go on, or 0 while
 * another call puts the job into another model.
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
 * enlistJobs enters jobs into the indexes and into the fair queue (delayed jobs: into `due`) right before
 * they are added to BullMQ. A job that BullMQ already has is not touched: it may be finished by now, and must
 * not be listed as unfinished again. A crash right after this step leaves entries without a job, which
 * readers skip. There is never a job without an entry.
 *
 * `jobs` has for each job: id, time of creation (ms), order within the tenant, deadline (ms, '' for none),
 * due time (ms, '' for a job that is not delayed), mayExist. mayExist is '1' when the id is derived from an
 * idempotency key: then the script clears what an earlier job of the same id left when a BullMQ client
 * removed it. `tenant` is '' for none. Returns for each job the options of the job that already exists, or
 * ''.
 */
export const enlistJobs = defineScript({
  name: 'enqueue.enlist',
  keys: ['indexAll', 'indexLive', 'tenants', 'tenantIndex', 'deadlines'],
  args: ['tenant', 'jobPrefix', 'runPrefix', 'responsePrefix', 'eventLogPrefix'],
  rest: 'jobs',
  uses: [finishedIndexes, fairQueueLibrary, parked],
  lua: /* lua */ `
local function optionsOf(id)
  if redis.call('EXISTS', jobPrefix .. id) == 0 then return '' end
  return redis.call('HGET', jobPrefix .. id, 'opts') or '{}'
end

local function enlist(id, created, order, deadline, dueMs)
  redis.call('ZADD', indexAll, created, id)
  redis.call('ZADD', indexLive, created, id)
  if tenant ~= '' then
    redis.call('SADD', tenants, tenant)
    redis.call('ZADD', tenantIndex, created, id)
  end
  if dueMs == '' then enqueue(tenant, id, order) else redis.call('ZADD', due, dueMs, id) end
  if deadline ~= '' then redis.call('ZADD', deadlines, deadline, id) end
end

local known = {}
for i = 1, #jobs, 6 do
  local id, mayExist = jobs[i], jobs[i + 5] == '1'
  local options = mayExist and optionsOf(id) or ''
  if options == '' then
    if mayExist then
      redis.call('UNLINK', runPrefix .. id, responsePrefix .. id, eventLogPrefix .. id)
      removeFromFinished(id)
    end
    enlist(id, jobs[i + 1], jobs[i + 2], jobs[i + 3], jobs[i + 4])
  end
  known[#known + 1] = options
end
return known
`,
});
