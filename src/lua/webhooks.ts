import { defineLibrary, defineScript } from '../redis/script.ts';

/**
 * outboxLibrary puts a job into the outbox in the same step in which a script writes its final status, so
 * that no crash can end a job and lose its webhook. It only checks that the job's options contain a webhook,
 * because any BullMQ client may have written them. The drain of the outbox validates it.
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
 * rememberOpenAiEvent stores that a response has ended and announces it, once for each webhook: OpenAI sends
 * a webhook again until it gets an answer. Both happen in one step, so that neither can happen without the
 * other.
 *
 * `member` names the webhook and its response. `oldest` is the oldest time (ms) that is kept, and `most` is
 * how many are kept. Returns 1, or 0 for a webhook that is known.
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
