import { DELAYED_SCORE, parked, SCORES_PER_MS, WAITING_SCORE } from '../../fair-queue/parked.ts';
import { defineLibrary, defineScript } from '../../redis/script.ts';
import { fairQueueLibrary } from '../fair-queue-library.ts';
import { finishedIndexes, metadataIndexes } from '../job-state.ts';
import { tenantUse } from '../storage/tenant-use.ts';

/**
 * KEPT_EVENTS is how many of its events BullMQ keeps per queue. With the default of 10,000 a busy queue keeps
 * megabytes that are never read.
 */
export const KEPT_EVENTS = 1000;

/**
 * claimIdempotencyKeys makes sure that calls with one idempotency key put its job into only one model at a
 * time. It is needed in a Redis Cluster, where no script can look into the slots of two models. Calls that
 * chose the same model may all go on: only one of them stores the job.
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
 * bullmqJob adds a parked job to BullMQ's queue. It writes what `addDelayedJob` of bullmq 6.7.0 writes, which
 * test/integration/queue/bullmq-layout.test.ts compares. It leaves out the marker: that would wake a worker
 * of BullMQ for a job that no worker may take yet. The job's hash is the first write, because a Redis that is
 * full refuses a script at its first write and carries out all of it after that.
 */
const bullmqJob = defineLibrary({
  keys: ['jobCounter', 'events'],
  args: ['jobPrefix'],
  uses: [parked],
  lua: /* lua */ `
-- Returns the score after that of the job that was parked last, of 4096 scores in one millisecond.
local function nextScore(first)
  local most = first + ${SCORES_PER_MS - 1}
  local last = redis.call('ZREVRANGEBYSCORE', delayed, most, first, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return last and math.min(most, tonumber(last) + 1) or first
end

local function addToBullmq(new, firstScore)
  redis.call('HSET', jobPrefix .. new.id, 'name', new.name, 'data', new.data, 'opts', new.options,
    'timestamp', new.created, 'delay', new.delay, 'priority', new.priority)
  redis.call('INCR', jobCounter)
  redis.call('XADD', events, '*', 'event', 'added', 'jobId', new.id, 'name', new.name)
  redis.call('ZADD', delayed, nextScore(firstScore), new.id)
  redis.call('XADD', events, 'MAXLEN', '~', ${KEPT_EVENTS}, '*', 'event', 'delayed', 'jobId', new.id,
    'delay', new.created + new.delay)
end
`,
});

/**
 * StoreAnswer is the answer of `storeJobsScript` for one job. `new`: this call has stored the job. `found`: a
 * job of this id exists in that model, with these options (JSON). `refused`: nothing was stored, because the
 * tenant's jobs that have not ended (`waiting`) or the bytes of all its jobs (`stored`) are at their limit.
 */
export type StoreAnswer =
  | ['new']
  | ['found', model: string, options: string]
  | ['refused', limit: 'waiting' | 'stored', used: number];

/**
 * storeJobsScript stores new jobs in one step: BullMQ's job, the entries of the indexes, and the place in the
 * fair queue (of a delayed job: the entry in `due`). There is never one of them without the others. It does
 * not touch a job that exists: that job may have ended by now.
 *
 * `lookIn` is JSON: the models in which a job of an idempotency key may stand, each with the beginning of the
 * names of its jobs; the model of these jobs is the first. In a Redis Cluster it is the only one. `jobs` has
 * for each job: id, name, data and options (JSON), time of creation (ms), delay (ms) and priority as BullMQ
 * stores them, deadline (ms, '' for none), due time (ms, '' for a job that is not delayed), isKeyed, and the
 * terms of its metadata, separated by blanks. isKeyed is '1' when the id is derived from an idempotency key:
 * then the script clears what an earlier job of the same id left when a BullMQ client removed it. `tenant` is
 * '' for none. `wakeChannel` is where a message wakes the dispatchers, '' for none.
 *
 * `mostWaiting` and `mostBytes` are the tenant's limits, '' for none. What it has stored in other models
 * counts too: `useElsewhere` is JSON, the names of the tenant's set and hash of each other model. In a Redis
 * Cluster it is empty, and `waitingElsewhere` and `bytesElsewhere` are what the client has read there. Jobs
 * of the tenant that are stored at that moment in another model are then missed.
 *
 * Returns a `StoreAnswer` for each job. A client that sends the script again after a lost reply finds its own
 * jobs.
 */
export const storeJobsScript = defineScript({
  name: 'enqueue.store',
  keys: ['indexAll', 'indexLive', 'tenants', 'tenantIndex', 'deadlines'],
  args: [
    ...['tenant', 'lookIn', 'runPrefix', 'responsePrefix', 'eventLogPrefix', 'wakeChannel'],
    ...['mostWaiting', 'mostBytes', 'useElsewhere', 'waitingElsewhere', 'bytesElsewhere'],
  ],
  rest: 'jobs',
  uses: [finishedIndexes, metadataIndexes, fairQueueLibrary, bullmqJob, tenantUse],
  lua: /* lua */ `
local FIELDS, models = 11, cjson.decode(lookIn)

local function find(new)
  for i = 1, new.isKeyed and #models or 1 do
    local jobKey = models[i][2] .. new.id
    if redis.call('EXISTS', jobKey) == 1 then
      return { 'found', models[i][1], redis.call('HGET', jobKey, 'opts') or '{}' }
    end
  end
end

local waiting, bytes = 0, 0
if mostWaiting ~= '' or mostBytes ~= '' then
  waiting = tonumber(waitingElsewhere) + waitingCount(tenant)
  bytes = tonumber(bytesElsewhere) + storedBytes(tenant)
  for _, other in ipairs(cjson.decode(useElsewhere)) do
    waiting = waiting + redis.call('SCARD', other[1])
    bytes = bytes + (tonumber(redis.call('HGET', other[2], '')) or 0)
  end
end

local function refuse(new)
  if mostWaiting ~= '' and waiting >= tonumber(mostWaiting) then return { 'refused', 'waiting', waiting } end
  local more = requestBytes(#new.data, new.options)
  if mostBytes ~= '' and bytes + more > tonumber(mostBytes) then return { 'refused', 'stored', bytes } end
  waiting, bytes = waiting + 1, bytes + more
end

local function store(new)
  addToBullmq(new, new.due == '' and ${WAITING_SCORE} or ${DELAYED_SCORE})
  if new.isKeyed then
    redis.call('UNLINK', runPrefix .. new.id, responsePrefix .. new.id, eventLogPrefix .. new.id)
    removeFromFinished(new.id)
    countRemoved(tenant, new.id)
  end
  redis.call('ZADD', indexAll, new.created, new.id)
  redis.call('ZADD', indexLive, new.created, new.id)
  if tenant ~= '' then
    redis.call('SADD', tenants, tenant)
    redis.call('ZADD', tenantIndex, new.created, new.id)
    countLive(tenant, new.id, jobPrefix .. new.id)
  end
  if new.due == '' then enqueue(tenant, new.id, orderOf(new.created, new.priority))
  else redis.call('ZADD', due, new.due, new.id) end
  addToMetadata(new.id, new.created, new.terms)
  if new.deadline ~= '' then redis.call('ZADD', deadlines, new.deadline, new.id) end
  return { 'new' }
end

local answers = {}
for i = 1, #jobs, FIELDS do
  local new = { id = jobs[i], name = jobs[i + 1], data = jobs[i + 2], options = jobs[i + 3],
    created = jobs[i + 4], delay = jobs[i + 5], priority = jobs[i + 6], deadline = jobs[i + 7],
    due = jobs[i + 8], isKeyed = jobs[i + 9] == '1', terms = jobs[i + 10] }
  answers[#answers + 1] = find(new) or refuse(new) or store(new)
end
if wakeChannel ~= '' then redis.call('PUBLISH', wakeChannel, '') end
return answers
`,
});
