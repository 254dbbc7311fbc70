import { defineLibrary, defineScript } from '../../redis/script.ts';

/** How long an action is kept after its start, in seconds. */
export const ACTION_KEPT_S = 30 * 86_400;
/** The most actions that are kept, those that run included. */
const MOST_ACTIONS = 1000;
/** The most actions of one tenant, and of all, that may run at the same time. */
const MOST_OPEN = { tenant: 5, all: 100 };

/**
 * actionPart keeps how far an action has come in one model, in the slot of that model. A script that changes
 * a job for an action writes the new place and the outcome in the same step, so each job is touched and
 * counted once, wherever a process dies.
 *
 * `part` is a hash: `token` and `lease_until` of the process that drives the action in this model, the place
 * (`created`, `id`) of the last job that was touched, the counts (`<outcome>`), and `ended` at the end. Jobs
 * are touched from the newest to the oldest.
 *
 * `actionToken` is '' for a change that belongs to no action; `part` is then not used. `actionCreated` is the
 * score of the job in its index (ms).
 */
export const actionPart = defineLibrary({
  keys: ['part'],
  args: ['id', 'actionToken', 'actionCreated'],
  lua: /* lua */ `
-- Returns why this job may not be touched: 'fenced' (another process drives the action now), 'passed' (the
-- job was touched before); nil: it may be touched.
local function actionRefusal()
  if actionToken == '' then return nil end
  local known = redis.call('HMGET', part, 'token', 'created', 'id')
  if known[1] ~= actionToken then return 'fenced' end
  local last, created = tonumber(known[2]), tonumber(actionCreated)
  if last and (created > last or (created == last and id >= known[3])) then return 'passed' end
end

local function countTouched(outcome)
  if actionToken == '' then return end
  redis.call('HSET', part, 'created', actionCreated, 'id', id)
  redis.call('HINCRBY', part, outcome, 1)
end
`,
});

/**
 * startActionScript stores an action and tells the processes that drive actions. `fields` are those of its
 * hash. Returns 'ok', or 'too-many' when as many actions run as may.
 */
export const startActionScript = defineScript({
  name: 'action.start',
  keys: ['action', 'open', 'actions', 'actionPrefix'],
  args: ['id', 'tenant', 'now'],
  rest: 'fields',
  lua: /* lua */ `
local mine, running = 0, redis.call('ZRANGE', open, 0, -1)
for _, other in ipairs(running) do
  if redis.call('HGET', actionPrefix .. other, 'tenant') == tenant then mine = mine + 1 end
end
if mine >= ${MOST_OPEN.tenant} or #running >= ${MOST_OPEN.all} then return 'too-many' end
redis.call('HSET', action, 'tenant', tenant, 'created_at', now, unpack(fields))
redis.call('EXPIRE', action, ${ACTION_KEPT_S})
redis.call('ZADD', open, now, id)
redis.call('ZADD', actions, now, id)
redis.call('ZREMRANGEBYRANK', actions, 0, -1 - ${MOST_ACTIONS})
redis.call('EXPIRE', actions, ${ACTION_KEPT_S})
redis.call('PUBLISH', open, id)
return 'ok'
`,
});

/**
 * LeaseAnswer says whether a process may drive an action in one model, and after which place. `held`: another
 * process drives it. `ended`: all jobs of the model are touched.
 */
export type LeaseAnswer = ['held'] | ['ended'] | ['leased'] | ['leased', created: string, id: string];

/**
 * leaseActionPart lends an action in one model to a process, or renews what it has been lent. A process that
 * was lent it before cannot touch a job any more (`actionPart`). Returns a `LeaseAnswer`.
 */
export const leaseActionPart = defineScript({
  name: 'action.lease',
  keys: ['part'],
  args: ['token', 'now', 'leaseUntil'],
  lua: /* lua */ `
local known = redis.call('HMGET', part, 'token', 'lease_until', 'ended', 'created', 'id')
if known[3] then return { 'ended' } end
local isMine = known[1] == token
if not isMine and known[2] and tonumber(known[2]) > tonumber(now) then return { 'held' } end
redis.call('HSET', part, 'token', token, 'lease_until', leaseUntil)
if not isMine then redis.call('EXPIRE', part, ${ACTION_KEPT_S}) end
if not known[4] then return { 'leased' } end
return { 'leased', known[4], known[5] }
`,
});

/**
 * passJobScript counts a job that an action leaves as it is. `outcome` says why. Returns 'ok', 'fenced' or
 * 'passed'.
 */
export const passJobScript = defineScript({
  name: 'action.pass',
  args: ['outcome'],
  uses: [actionPart],
  lua: /* lua */ `
local refusal = actionRefusal()
if refusal then return refusal end
countTouched(outcome)
return 'ok'
`,
});

/** endActionPart ends an action in one model. Returns 1, or 0 if another process drives it now. */
export const endActionPart = defineScript({
  name: 'action.end-part',
  keys: ['part'],
  args: ['token'],
  lua: /* lua */ `
if redis.call('HGET', part, 'token') ~= token then return 0 end
redis.call('HSET', part, 'ended', 1)
return 1
`,
});

/**
 * finishActionScript ends an action, once. Any process may do it that has seen the end in all models, or the
 * wish to stop. Returns 1 if this call has ended it.
 */
export const finishActionScript = defineScript({
  name: 'action.finish',
  keys: ['action', 'open'],
  args: ['id', 'now', 'status'],
  lua: /* lua */ `
redis.call('ZREM', open, id)
if redis.call('EXISTS', action) == 0 then return 0 end
if redis.call('HSETNX', action, 'finished_at', now) == 0 then return 0 end
redis.call('HSET', action, 'status', status)
return 1
`,
});
