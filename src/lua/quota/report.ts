import { createScript } from '../../redis/script.ts';
import { BURST_MS } from './take.ts';
import { WINDOW_LUA } from './window.ts';

/**
 * What a create has met, for everybody who would send the next one.
 *
 * - `rate_limited`: nobody sends before the time that the upstream has named.
 * - `quota_exhausted`: money is out. Paused; a probe after a minute, then after twice as long each, up to ten minutes.
 * - `unreachable`: nobody was there to take it, whoever asks. Nobody sends for a second, then one; twice as long each, up to a minute.
 * - `failed`: overloaded or broken. After five jobs in a row, not five times one that may be to blame itself, nobody sends for 5 s, then one; twice as long
 *   each, up to a minute.
 * - `gone`: there is no such model. Asked again after ten minutes.
 *
 * KEYS state, window, leases, held, usage · ARGV what, milliseconds (of `rate_limited`), id of the job
 * Returns '' (it is this job's own), 'known' (everybody waits, and has been told so), or 'new'.
 */
export const reportScript = createScript(`
${WINDOW_LUA}
local BURST_MS = ${BURST_MS}
local FIRST_PROBE_MS, LAST_PROBE_MS, FAILURES, UNREACHABLE_MS, FIRST_OPEN_MS, LAST_OPEN_MS, GONE_MS = 60000, 600000, 5, 1000, 5000, 60000, 600000
local what, isNew = ARGV[1], false
local known = redis.call('HMGET', STATE, 'blocked_until', 'probe_ms', 'probing', 'open_ms')
local function doubled(field, i, first, last)
  -- Others that were on their way when it began know nothing new.
  if known[i] and known[3] ~= ARGV[3] then return nil end
  local ms = known[i] and math.min(tonumber(known[i]) * 2, last) or first
  redis.call('HDEL', STATE, 'probing')
  redis.call('HSET', STATE, field, text(ms))
  isNew = true
  return ms
end
if what == 'rate_limited' then
  isNew = (tonumber(known[1]) or 0) <= now
  local untilMs = math.max(tonumber(known[1]) or 0, now + ARGV[2])
  -- Without what a pause is worth otherwise: those that waited must not come together.
  local evenly = text(untilMs + BURST_MS)
  redis.call('HSET', STATE, 'blocked_until', text(untilMs), 'next_request', evenly, 'next_token', evenly)
  stopAll(untilMs - now)
elseif what == 'quota_exhausted' then
  local ms = doubled('probe_ms', 2, FIRST_PROBE_MS, LAST_PROBE_MS)
  if ms then redis.call('HSET', STATE, 'probe_at', text(now + ms)) end
  stopAll(tonumber(redis.call('HGET', STATE, 'probe_at')) - now)
elseif what == 'unreachable' then
  redis.call('HSET', STATE, 'failures', FAILURES)
  local ms = doubled('open_ms', 4, UNREACHABLE_MS, LAST_OPEN_MS)
  if ms then redis.call('HSET', STATE, 'open_until', text(now + ms)) end
  stopAll(tonumber(redis.call('HGET', STATE, 'open_until')) - now)
elseif what == 'failed' then
  local failing = redis.call('HGET', STATE, 'failing') or ''
  if not string.find(failing, ARGV[3], 1, true) then
    redis.call('HSET', STATE, 'failing', string.sub(failing .. ' ' .. ARGV[3], -1000))
    redis.call('HINCRBY', STATE, 'failures', 1)
  end
  if tonumber(redis.call('HGET', STATE, 'failures') or 0) < FAILURES then return ''
  else
    local ms = doubled('open_ms', 4, FIRST_OPEN_MS, LAST_OPEN_MS)
    if ms then redis.call('HSET', STATE, 'open_until', text(now + ms)) end
    stopAll(tonumber(redis.call('HGET', STATE, 'open_until')) - now)
  end
elseif what == 'gone' then
  isNew = (tonumber(redis.call('HGET', STATE, 'gone_until')) or 0) <= now
  redis.call('HSET', STATE, 'gone_until', text(now + GONE_MS))
end
return isNew and 'new' or 'known'
`);

/** A person says that money is there again. KEYS as above. Returns 1 when it had been out. */
export const resumeScript = createScript(`
${WINDOW_LUA}
if redis.call('HDEL', STATE, 'probe_at', 'probe_ms') == 0 then return 0 end
redis.call('HDEL', STATE, 'probing')
endStop()
return 1
`);

/**
 * A create was accepted: whatever was amiss is over. With it what the upstream says of its limits, which know of others who use the same key.
 *
 * What the upstream has counted of tokens is the truth, of jobs that run and of others: beside it there is only what is reserved and was not there yet. Of
 * requests only more than our own is news.
 *
 * KEYS state, window, leases, held, usage · ARGV limit of requests, of tokens, remaining requests, remaining tokens (each '' when not said), id of the job, how long it is held now (ms)
 * Returns 1 when a stop is over with it.
 */
export const acceptedScript = createScript(`
${WINDOW_LUA}
local wasStopped = redis.call('HDEL', STATE, 'open_until', 'probe_at', 'gone_until') > 0
redis.call('HDEL', STATE, 'failures', 'failing', 'open_ms', 'probe_ms', 'probing')
if wasStopped then endStop() end
redis.call('ZADD', LEASES, 'XX', text(now + ARGV[6]), ARGV[5])
local reply = wasStopped and 1 or 0
if ARGV[1] == '' and ARGV[2] == '' then return reply end
local requests, tokens = slide()
local function unseen(limit, remaining, sum)
  if limit == '' or remaining == '' then return 0 end
  return math.max(0, limit - remaining - sum)
end
local moreRequests = unseen(ARGV[1], ARGV[3], requests)
if ARGV[2] ~= '' and ARGV[4] ~= '' then
  local held = heldBy(ARGV[5])
  if held and not held.counted then
    addPending(-held.tokens)
    addSlack(slackOf(held))
    held.counted, held.sent = true, true
    hold(ARGV[5], held, tonumber(redis.call('ZSCORE', LEASES, ARGV[5])) or now)
  end
  local charges = tokens - unlike() - pastTokens() - pending()
  setUnlike(math.max(ARGV[2] - ARGV[4] - charges, -slack()))
end
if moreRequests > 0 then charge(moreRequests, 0) end
redis.call('HSET', STATE, 'told_at', text(now))
if ARGV[1] ~= '' then redis.call('HSET', STATE, 'told_requests', ARGV[1]) end
if ARGV[2] ~= '' then redis.call('HSET', STATE, 'told_tokens', ARGV[2]) end
return reply
`);
