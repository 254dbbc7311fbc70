import { defineLibrary, defineScript } from '../redis/script.ts';

/**
 * outboxLibrary puts a job into the outbox in the same step in which a script writes its final status, so
 * that no crash can end a job and lose its webhook. It only looks for the field `webhook` in the text of the
 * job's options. Any BullMQ client may have written the options, so the drain of the outbox checks them.
 */
export const outboxLibrary = defineLibrary({
  keys: ['job', 'outbox'],
  args: ['id', 'now'],
  lua: /* lua */ `
local function putIntoOutbox()
  local options = redis.call('HGET', job, 'opts')
  if not options or not string.find(options, '"webhook":', 1, true) then return end
  redis.call('ZADD', outbox, now, id)
  redis.call('PUBLISH', outbox, id)
end
`,
});

/**
 * removeFromOutbox takes a job out of the outbox. If the job has ended again since its entry was read, the
 * entry stays, because the webhook of that end is still to be sent. `endedAt` is the time of the end (ms)
 * whose webhook has been enqueued.
 */
export const removeFromOutbox = defineScript({
  name: 'webhooks.remove-from-outbox',
  keys: ['outbox'],
  args: ['id', 'endedAt'],
  lua: /* lua */ `
if redis.call('ZSCORE', outbox, id) == endedAt then redis.call('ZREM', outbox, id) end
`,
});

/**
 * deliveryTurn returns the turn of a tenant's next webhook as a priority of BullMQ, by start-time fair
 * queueing: the lowest is delivered first. A tenant with a thousand waiting webhooks delays another tenant's
 * first webhook by a single delivery. The virtual time is the priority of the first waiting webhook, or the
 * latest turn when none waits. When none has waited or been enqueued for ten seconds, turns begin again at 0,
 * which BullMQ treats as no priority.
 *
 * A crash between this script and the enqueueing leaves an unused turn, which costs the tenant one delivery.
 * When there were `last` turns without such a break of ten seconds, all further webhooks are delivered in the
 * order of their enqueueing.
 *
 * Keys: `wait`, `prioritized` (BullMQ's), `turns` (hash: `latest`, the latest turn; `at`, when the last turn
 * was given, in Unix seconds; `next:<tenant>`, that tenant's next turn).
 */
export const deliveryTurn = defineScript({
  name: 'webhooks.turn',
  keys: ['wait', 'prioritized', 'turns'],
  args: ['tenant', 'last'],
  lua: /* lua */ `
local MOST_FIELDS, PER_PRIORITY, IDLE_S = 1000, 4294967296, 10
local first = redis.call('ZRANGE', prioritized, 0, 0, 'WITHSCORES')[2]
local time = tonumber(redis.call('TIME')[1])
local isEmpty = not first and redis.call('LLEN', wait) == 0
local at = tonumber(redis.call('HGET', turns, 'at')) or 0
if isEmpty and time - at >= IDLE_S then redis.call('DEL', turns) end
local latest = tonumber(redis.call('HGET', turns, 'latest')) or 0
local now = first and math.floor(tonumber(first) / PER_PRIORITY) or isEmpty and latest or 0
if redis.call('HLEN', turns) > MOST_FIELDS then
  local all = redis.call('HGETALL', turns)
  for i = 1, #all, 2 do
    local isNext = string.sub(all[i], 1, 5) == 'next:'
    if isNext and tonumber(all[i + 1]) <= now then redis.call('HDEL', turns, all[i]) end
  end
end
local turn = math.max(now, tonumber(redis.call('HGET', turns, 'next:' .. tenant)) or 0)
turn = math.min(turn, tonumber(last))
local function text(number) return string.format('%.0f', number) end
redis.call('HSET', turns,
  'latest', text(math.max(turn, latest)), 'at', text(time), 'next:' .. tenant, text(turn + 1))
return turn
`,
});

/**
 * rememberOpenAiEvent stores that a response has ended and announces it, once for each webhook: OpenAI sends
 * a webhook again until it gets an answer. Both happen in one step, so that neither can happen without the
 * other.
 *
 * `member` names the webhook and its response. `oldest` is the oldest time (ms) that is kept, and `most` is
 * how many are kept. Returns 1, or 0 for a webhook that was received before.
 */
export const rememberOpenAiEvent = defineScript({
  name: 'webhooks.remember-openai-event',
  keys: ['ended'],
  args: ['member', 'responseId', 'now', 'oldest', 'most', 'channel'],
  lua: /* lua */ `
redis.call('ZREMRANGEBYSCORE', ended, '-inf', '(' .. oldest)
if redis.call('ZADD', ended, 'NX', now, member) == 0 then return 0 end
redis.call('ZREMRANGEBYRANK', ended, 0, -1 - tonumber(most))
redis.call('PUBLISH', channel, responseId)
return 1
`,
});
