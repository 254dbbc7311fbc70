import { defineScript } from '../redis/script.ts';
import { earlierResponses } from './deletions.ts';
import { runOwner } from './workers/locks.ts';

/**
 * MarkPurchaseAnswer is the answer of `markPurchase`. `purchased`: the id of the earlier create has arrived
 * after all. `ok`: the create may be sent; `replaced` is 1 when its mark replaced an earlier mark. A record
 * is a flat list: field, value, …
 */
export type MarkPurchaseAnswer =
  | ['lock-lost' | 'finished' | 'cancel-requested']
  | ['purchased', record: string[]]
  | ['ok', replaced: 0 | 1];

/**
 * markPurchase writes the purchase mark right before a create request is sent. From here until the response's
 * id is stored, the outcome of the create is unknown. The new mark replaces the mark of an earlier create
 * whose outcome stays unknown. In the same step it counts the earlier create as an uncertain purchase, so
 * that no crash can hide it.
 *
 * Returns a `MarkPurchaseAnswer`.
 */
export const markPurchase = defineScript({
  name: 'purchase.mark',
  keys: ['lock', 'run'],
  args: ['lockToken', 'fencingToken', 'now'],
  uses: [earlierResponses],
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
if markedToken then redis.call('HINCRBY', run, 'uncertain_purchases', 1) end
keepEarlierResponse()
redis.call('HDEL', run, 'upstream_id', 'upstream_status', 'cursor', 'output_characters', 'streamed_bytes', 'seen_at')
redis.call('HDEL', run, 'error', 'purchase_mark_abandoned')
redis.call('HSET', run, 'purchase_mark', fencingToken, 'purchase_mark_at', now)
return { 'ok', markedToken and 1 or 0 }
`,
});

/**
 * storePurchase writes the id of a bought response. The worker that sent the create may do so by its fencing
 * token even after it lost the job's lock: the next worker then adopts the response instead of buying
 * another. Once a later create has replaced the mark, nothing is written, because no worker waits for this
 * response any more.
 *
 * `fields` are further fields of the response: field, value, … Returns a `RunAnswer`. After `superseded`
 * nothing was written. Every other answer says that the id is stored, and what state the job is in.
 */
export const storePurchase = defineScript({
  name: 'purchase.store',
  keys: ['lock', 'run'],
  args: ['lockToken', 'fencingToken', 'responseId'],
  rest: 'fields',
  uses: [runOwner],
  lua: /* lua */ `
local known = redis.call('HMGET', run, 'purchase_mark', 'upstream_id', 'status', 'cancel_requested_at')
local markedToken, storedId, status, cancelRequestedAt = unpack(known)
local isOwner = ownsRun()
-- A restarted Redis may have lost its last second, and with it the purchase mark. The owner of the run may
-- write without a mark then.
local isForgotten = isOwner and not markedToken and not storedId and not status
-- The client sends the same id again when the reply was lost with its connection.
if storedId ~= responseId then
  if markedToken ~= fencingToken and not isForgotten then return 'superseded' end
  redis.call('HDEL', run, 'purchase_mark', 'purchase_mark_at', 'purchase_mark_abandoned')
  redis.call('HINCRBY', run, 'purchases', 1)
  redis.call('HSET', run, 'upstream_id', responseId, unpack(fields))
end
if status then return 'finished' end
if not isOwner then return 'lock-lost' end
if cancelRequestedAt then return 'cancel-requested' end
return 'ok'
`,
});
