import { defineLibrary } from '../redis/script.ts';

/**
 * A job of ours that has not started is parked: BullMQ holds it as a delayed job that is due in the year
 * 2039. So no worker takes it, but Bull Board and other BullMQ clients still see it. Waiting jobs are due on
 * one day of that year, delayed jobs on the next day. The real due time of a delayed job is in our own sorted
 * set. At that time a dispatcher makes it a waiting job.
 *
 * BullMQ orders its delayed jobs by `due time (ms) * 4096 + counter` (`getDelayedScore` of bullmq 6.7.0). For
 * dates more than three months later such a score would no longer be an exact double.
 */
const WAITING_UNTIL_MS = 2_190_000_000_000;
const DELAYED_UNTIL_MS = WAITING_UNTIL_MS + 86_400_000;
/** SCORES_PER_MS is how many scores BullMQ's delayed set has for each millisecond. */
export const SCORES_PER_MS = 4096;

/**
 * WAITING_SCORE is the lowest score of a waiting job in BullMQ's delayed set. No parked job has a lower
 * score.
 */
export const WAITING_SCORE = delayedScore(WAITING_UNTIL_MS);

/** DELAYED_SCORE is the lowest score of a delayed job of ours in BullMQ's delayed set. */
export const DELAYED_SCORE = delayedScore(DELAYED_UNTIL_MS);

/**
 * parkedDelayMs returns the `delay` option, in milliseconds, that parks a job created at `createdAt` (Unix
 * milliseconds).
 */
export function parkedDelayMs(createdAt: number, status: 'waiting' | 'delayed' = 'waiting'): number {
  return (status === 'waiting' ? WAITING_UNTIL_MS : DELAYED_UNTIL_MS) - createdAt;
}

/**
 * delayedScore returns the lowest score in BullMQ's delayed set of a job that is due at `dueMs` (Unix
 * milliseconds).
 */
export function delayedScore(dueMs: number): number {
  return dueMs * SCORES_PER_MS;
}

/** dueMsOf returns when a job with this score in BullMQ's delayed set is due, in Unix milliseconds. */
export function dueMsOf(score: number): number {
  return Math.floor(score / SCORES_PER_MS);
}

/**
 * parked is a Lua library that parks jobs, and distinguishes waiting jobs from delayed ones.
 *
 * Keys: `delayed` (BullMQ's set), `due` (sorted set: due time in ms by id of our delayed jobs).
 */
export const parked = defineLibrary({
  keys: ['delayed', 'due'],
  lua: /* lua */ `
local function scoreOf(jobId) return tonumber(redis.call('ZSCORE', delayed, jobId) or 0) end
local function isParked(jobId) return scoreOf(jobId) >= ${WAITING_SCORE} end
local function isParkedDelayed(jobId) return scoreOf(jobId) >= ${DELAYED_SCORE} end
local function isWaitingScore(score) return score >= ${WAITING_SCORE} and score < ${DELAYED_SCORE} end
local function isParkedWaiting(jobId) return isWaitingScore(scoreOf(jobId)) end

local function parkWaiting(jobId)
  redis.call('ZADD', delayed, ${WAITING_SCORE}, jobId)
  redis.call('ZREM', due, jobId)
end

local function parkDelayed(jobId, dueMs)
  redis.call('ZADD', delayed, ${DELAYED_SCORE}, jobId)
  redis.call('ZADD', due, dueMs, jobId)
end

-- Returns whether the job was in BullMQ's delayed set, parked or delayed.
local function unpark(jobId)
  redis.call('ZREM', due, jobId)
  return redis.call('ZREM', delayed, jobId) == 1
end

-- Returns when a delayed job is due, in Unix milliseconds, as text. BullMQ itself delays the jobs of other
-- BullMQ clients.
local function dueTime(jobId)
  local dueMs = isParkedDelayed(jobId) and redis.call('ZSCORE', due, jobId)
  return string.format('%.0f', dueMs or math.floor(scoreOf(jobId) / ${SCORES_PER_MS}))
end
`,
});
