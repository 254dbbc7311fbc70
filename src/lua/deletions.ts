import { defineLibrary, defineScript } from '../redis/script.ts';

/** How many responses of earlier attempts a record remembers. A job has few: each was paid for. */
const MOST_EARLIER = 100;
/**
 * MOST_DELETIONS limits the deletions that wait for one model. Beyond this number, the deletions that have
 * been due longest are dropped.
 */
export const MOST_DELETIONS = 100_000;
/**
 * How long the deletions of a model are kept after the last one was added, in seconds. When the model was
 * removed from the configuration, no worker carries them out.
 */
const KEPT_S = 7 * 86_400;

/**
 * earlierResponses keeps the ids of responses that a new attempt removes from the record of a run when it
 * buys another response. All of these responses are deleted with their job.
 */
export const earlierResponses = defineLibrary({
  keys: ['run'],
  lua: /* lua */ `
-- Returns the ids of all responses known to be bought, oldest first.
local function boughtResponses()
  local known = redis.call('HMGET', run, 'earlier_ids', 'upstream_id')
  local ids = known[1] and cjson.decode(known[1]) or {}
  if known[2] then ids[#ids + 1] = known[2] end
  while #ids > ${MOST_EARLIER} do table.remove(ids, 1) end
  return ids
end

local function keepEarlierResponse()
  if redis.call('HEXISTS', run, 'upstream_id') == 0 then return end
  redis.call('HSET', run, 'earlier_ids', cjson.encode(boughtResponses()))
end
`,
});

/**
 * deletionQueue adds a deletion for each response of a job, in the same step that deletes the job. A deletion
 * is a JSON list of strings: the response's id, the time at which the deletion was requested (ms), and the
 * headers of the job as JSON. Its score is the time from which a worker may try it (ms).
 *
 * `deletionHeaders` is JSON, or '' for a job whose responses the upstream does not store.
 */
export const deletionQueue = defineLibrary({
  keys: ['deletions'],
  args: ['now', 'deletionHeaders'],
  uses: [earlierResponses],
  lua: /* lua */ `
local function queueDeletions()
  local ids = deletionHeaders == '' and {} or boughtResponses()
  if #ids == 0 then return end
  for _, responseId in ipairs(ids) do
    redis.call('ZADD', deletions, now, cjson.encode({ responseId, now, deletionHeaders }))
  end
  redis.call('ZREMRANGEBYRANK', deletions, 0, -1 - ${MOST_DELETIONS})
  redis.call('EXPIRE', deletions, ${KEPT_S})
  redis.call('PUBLISH', deletions, '')
end
`,
});

/**
 * takeDeletions reserves due deletions for this worker until `lentUntil` (ms). Until then no other worker
 * takes them. If this worker dies, they are due again at that time. Returns at most `most` members of the
 * set.
 */
export const takeDeletions = defineScript({
  name: 'deletions.take',
  keys: ['deletions'],
  args: ['now', 'lentUntil', 'most'],
  lua: /* lua */ `
local due = redis.call('ZRANGEBYSCORE', deletions, '-inf', now, 'LIMIT', 0, most)
for _, deletion in ipairs(due) do redis.call('ZADD', deletions, 'XX', lentUntil, deletion) end
return due
`,
});
