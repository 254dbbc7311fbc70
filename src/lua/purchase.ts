import { parked } from '../fair-queue/parked.ts';
import { defineLibrary, defineScript } from '../redis/script.ts';
import { earlierResponses } from './deletions.ts';
import { fairQueueLibrary } from './fair-queue-library.ts';
import { runState } from './job-state.ts';
import { clock } from './quota/clock.ts';
import { lateResponse, usageBooking } from './usage.ts';
import { runOwner } from './workers/locks.ts';

/**
 * MarkPurchaseAnswer is the answer of `markPurchase`. `purchased`: the response id of an earlier create has
 * arrived after all. `ok`: the create may be sent; `replaced` is 1 when its mark replaced an earlier mark. A
 * record is a flat list: field, value, …
 */
export type MarkPurchaseAnswer =
  | ['lock-lost' | 'finished' | 'cancel-requested']
  | ['purchased', record: string[]]
  | ['ok', replaced: 0 | 1];

/**
 * markPurchase writes the purchase mark right before a create request is sent. From here until the response's
 * id is stored, the outcome of the create is unknown. The new mark replaces the mark of an earlier create
 * whose outcome stays unknown. In the same step the script counts the earlier create as an uncertain
 * purchase, and books `booking`, what it has probably cost, so that no crash can hide that purchase.
 *
 * Returns a `MarkPurchaseAnswer`.
 */
export const markPurchase = defineScript({
  name: 'purchase.mark',
  keys: ['lock', 'run'],
  args: ['lockToken', 'fencingToken', 'now'],
  uses: [earlierResponses, usageBooking],
  lua: /* lua */ `
if redis.call('GET', lock) ~= lockToken then return { 'lock-lost' } end
local known =
  redis.call('HMGET', run, 'status', 'cancel_requested_at', 'upstream_id', 'background', 'purchase_mark')
local status, cancelRequestedAt, responseId, isBackground, markedToken = unpack(known)
if status then return { 'finished' } end
if cancelRequestedAt then return { 'cancel-requested' } end
-- A stored response in the foreground does not count: it ended with its connection.
if responseId and isBackground == '1' then return { 'purchased', redis.call('HGETALL', run) } end
-- The client sends the same mark again when the reply was lost with its connection.
if markedToken == fencingToken then return { 'ok', 0 } end
if markedToken then
  redis.call('HINCRBY', run, 'uncertain_purchases', 1)
  redis.call('HSET', run, 'uncertain_mark', markedToken)
  bookUsage()
end
keepEarlierResponse()
redis.call('HDEL', run, 'upstream_id', 'upstream_status', 'cursor', 'output_characters', 'streamed_bytes', 'seen_at')
redis.call('HDEL', run, 'error', 'purchase_mark_abandoned', 'purchase_trace')
redis.call('HSET', run, 'purchase_mark', fencingToken, 'purchase_mark_at', now, 'purchase_mark_sender', lockToken)
return { 'ok', markedToken and 1 or 0 }
`,
});

/**
 * forgottenPurchase tells whether a record has lost a purchase: a failover or a restart of Redis loses the
 * last writes, perhaps a purchase mark or the id of a response. `fencingToken` and `responseId` ('' while the
 * create is under way) name the purchase. `bought` is the key of that response, and lives for
 * `boughtSeconds`.
 */
const forgottenPurchase = defineLibrary({
  keys: ['job', 'run', 'bought'],
  args: ['fencingToken', 'responseId', 'tenant', 'boughtSeconds'],
  uses: [earlierResponses],
  lua: /* lua */ `
local function isKnownResponse()
  for _, known in ipairs(boughtResponses()) do
    if known == responseId then return true end
  end
  return false
end

-- Returns whether the record has neither a purchase nor an end.
local function hasNoPurchase()
  local known = redis.call('HMGET', run, 'purchase_mark', 'upstream_id', 'status')
  return not (known[1] or known[2] or known[3])
end

-- Returns whether the record has lost the purchase and has no later one, so that the purchase may be stored
-- again.
local function isForgotten()
  return responseId ~= '' and hasNoPurchase() and redis.call('EXISTS', job) == 1 and not isKnownResponse()
end

-- Counts the purchase as uncertain if the record has lost it. Another create was sent since, but a record
-- that had lost the mark of the purchase did not count the purchase at that time.
local function countIfForgotten()
  if redis.call('EXISTS', run) == 0 or isKnownResponse() then return end
  if redis.call('HGET', run, 'uncertain_mark') == fencingToken then return end
  redis.call('HINCRBY', run, 'uncertain_purchases', 1)
  redis.call('HSET', run, 'uncertain_mark', fencingToken)
end

local function storeResponse(fields)
  redis.call('HDEL', run, 'purchase_mark', 'purchase_mark_at', 'purchase_mark_abandoned', 'tag_step')
  redis.call('HINCRBY', run, 'purchases', 1)
  redis.call('HSET', run, 'upstream_id', responseId, unpack(fields))
  -- Without a tenant every caller may continue from every response.
  if tenant ~= '' then redis.call('SET', bought, tenant, 'EX', boughtSeconds) end
end
`,
});

/**
 * storePurchase writes the id of a bought response. The worker that sent the create may do so by its fencing
 * token even after it lost the job's lock: the next worker then adopts the response instead of buying
 * another. Once a later create has replaced the mark, nothing is written, because no worker waits for this
 * response any more.
 *
 * `fields` are further fields of the response: field, value, … Returns a `RunAnswer`. `superseded`: the id
 * was not written. Every other answer: the id was written, and the answer says how the job stands.
 */
export const storePurchase = defineScript({
  name: 'purchase.store',
  keys: ['lock', 'run'],
  args: ['lockToken'],
  rest: 'fields',
  uses: [runOwner, forgottenPurchase, lateResponse],
  lua: /* lua */ `
local known = redis.call('HMGET', run, 'purchase_mark', 'upstream_id', 'status', 'cancel_requested_at', 'booked')
local markedToken, storedId, status, cancelRequestedAt, booked = unpack(known)
-- An equal id means that the client sends the script again, because the reply was lost with its connection.
if storedId ~= responseId then
  if markedToken ~= fencingToken and not isForgotten() then
    countIfForgotten()
    return 'superseded'
  end
  storeResponse(fields)
  if booked == 'create ' .. fencingToken then moveCreateEstimate() end
end
if status then return 'finished' end
if not ownsRun() then return 'lock-lost' end
if cancelRequestedAt then return 'cancel-requested' end
return 'ok'
`,
});

/**
 * claimPurchase takes a job back from another worker, for the worker that has its current purchase: the
 * create under way, or a response in the foreground, which no other worker can follow. The lock shows which
 * worker lives. The fencing token shows which worker sent the create that is paid for. A response in the
 * background stays with the other worker, which adopts it; if the record has lost the response's id, the
 * script writes the id again for that worker.
 *
 * A failover to a replica that has not heard of the start leaves the job parked, and no worker has it. Then
 * the script takes the job out of the fair queue, so that it is not bought a second time: for this worker, or
 * for any worker that adopts its response in the background.
 *
 * `isAdoptable` is '1' for a response in the background. `fields` are the fields of the response: field,
 * value, … Returns 1 when the worker has the job and its lock again, else 0.
 */
export const claimPurchase = defineScript({
  name: 'purchase.claim',
  keys: ['lock', 'active', 'wait', 'stalled', 'marker', 'events'],
  args: ['id', 'lockToken', 'lockMs', 'isAdoptable'],
  rest: 'fields',
  uses: [clock, runState, forgottenPurchase, fairQueueLibrary, parked],
  lua: /* lua */ `
if isForgotten() then storeResponse(fields)
elseif responseId == '' and isParked(id) and hasNoPurchase() then
  redis.call('HSET', run,
    'purchase_mark', fencingToken, 'purchase_mark_at', text(now), 'purchase_mark_sender', lockToken)
end
local known = redis.call('HMGET', run, 'purchase_mark', 'upstream_id', 'status')
local markedToken, storedId, status = unpack(known)
if status then return 0 end
if markedToken ~= fencingToken and storedId ~= responseId then
  countIfForgotten()
  return 0
end
local wasParked = unpark(id)
if wasParked then
  dequeue(tenant, id)
  redis.call('HSET', job, 'delay', 0)
end
if isAdoptable == '1' then
  if wasParked then
    redis.call('LPUSH', wait, id)
    redis.call('ZADD', marker, 0, '0')
    redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
  end
  return 0
end
if not redis.call('LPOS', active, id) then
  -- The job was recovered, or its start forgotten, and no worker has taken it yet.
  if not wasParked and redis.call('LREM', wait, 1, id) == 0 then return 0 end
  redis.call('LPUSH', active, id)
end
redis.call('SET', lock, lockToken, 'PX', lockMs)
redis.call('SREM', stalled, id)
local begun = redis.call('HGET', job, 'processedOn') or ''
redis.call('HSET', run, 'holder', lockToken, 'begun', begun, 'stalled', stalledCount(job))
return 1
`,
});
