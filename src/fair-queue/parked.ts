import { defineLibrary } from '../redis/script.ts';

/**
 * A job that waits in the fair queue is parked: BullMQ holds it as a delayed job that is due in the year
 * 2039, so that no worker takes it, while Bull Board and other BullMQ clients still see it.
 *
 * BullMQ orders its delayed jobs by `due time (ms) * 4096 + counter` (`getDelayedScore` of bullmq 6.7.0).
 * Above this date such a score would no longer be an exact double.
 */
export const PARKED_UNTIL_MS = 2_190_000_000_000;
const SCORES_PER_MS = 4096;

/** PARKED_SCORE is the lowest score of a parked job in BullMQ's delayed set. */
export const PARKED_SCORE = delayedScore(PARKED_UNTIL_MS);

/**
 * parkedDelayMs returns the `delay` option, in milliseconds, that parks a job created at `createdAt` (Unix
 * milliseconds).
 */
export function parkedDelayMs(createdAt: number): number {
  return PARKED_UNTIL_MS - createdAt;
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

/** parked parks jobs, and tells parked jobs from delayed ones, in Lua. */
export const parked = defineLibrary({
  keys: ['delayed'],
  lua: /* lua */ `
local function isParked(jobId)
  local score = redis.call('ZSCORE', delayed, jobId)
  return score and tonumber(score) >= ${PARKED_SCORE}
end

local function park(jobId) redis.call('ZADD', delayed, ${PARKED_SCORE}, jobId) end

local function delayUntil(jobId, dueMs) redis.call('ZADD', delayed, dueMs * ${SCORES_PER_MS}, jobId) end

-- The time at which BullMQ starts a delayed job, in Unix milliseconds, as text.
local function dueTime(jobId)
  return string.format('%.0f', math.floor(redis.call('ZSCORE', delayed, jobId) / ${SCORES_PER_MS}))
end
`,
});
