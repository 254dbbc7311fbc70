import { parked } from '../fair-queue/parked.ts';
import { defineScript } from '../redis/script.ts';
import { fairQueueLibrary } from './fair-queue-library.ts';
import type { RunAnswer } from './run.ts';
import { runOwner } from './workers/locks.ts';

/** GiveBackAnswer is what `giveBackJob` did, or why it did nothing. */
export type GiveBackAnswer = Extract<RunAnswer, 'ok' | 'lock-lost' | 'cancel-requested'>;

/**
 * giveBackJob takes an active job from its worker and puts it back among the jobs that have not begun. In the
 * same step it checks for a cancel mark. A cancel that comes before this step leaves the mark, and the worker
 * ends the job. A cancel that comes after this step finds a job that is not active, and the cancel script
 * itself ends the job. A job that will have its turn again, and has bought nothing, does not pay for two
 * turns: the same step refunds the tag of its tenant.
 *
 * `target` is
 * - 'first': the head of BullMQ's list of waiting jobs, for a job that keeps its reservation or its running
 *   response;
 * - 'fair-queue': the fair queue, at the place that `order` gives. A flow's parent with children that have not
 *   ended goes back to BullMQ's `waiting-children`, because BullMQ completes no such parent: its answer would
 *   be bought again and again. A child with `continueParentOnFailure`, or a retry by a BullMQ client, has
 *   started it too early. BullMQ completes no parent with `unsuccessful` children either;
 * - 'delayed': the fair queue from `dueAt` (ms) on, after a failed attempt. `failedReason` says why it
 *   failed;
 * - 'held': the same as 'delayed', but the attempt does not count.
 *
 * `deadline` is in ms, '' for none. `wakeChannel` is where a message wakes the dispatchers, '' for none.
 * Returns a `GiveBackAnswer`. `cancel-requested`: nothing was moved, and the worker still holds the job.
 */
export const giveBackJob = defineScript({
  name: 'job.give-back',
  keys: [
    ...['job', 'lock', 'run', 'eventLog', 'active', 'stalled', 'wait', 'marker', 'events', 'deadlines'],
    'waitingChildren',
  ],
  args: [
    ...['id', 'lockToken', 'target', 'tenant', 'order', 'deadline', 'dueAt', 'failedReason'],
    'wakeChannel',
  ],
  uses: [runOwner, fairQueueLibrary, parked],
  lua: /* lua */ `
if not ownsRun() then return 'lock-lost' end
if redis.call('HEXISTS', run, 'cancel_requested_at') == 1 then return 'cancel-requested' end
-- The lock had run out, and BullMQ has taken the job from this worker.
if redis.call('LREM', active, -1, id) == 0 then return 'lock-lost' end
-- This is what BullMQ does when it moves a job out of its active list (moveToDelayed and
-- moveJobFromActiveToWait of bullmq 6.7.0).
redis.call('DEL', lock)
redis.call('SREM', stalled, id)
redis.call('HDEL', run, 'holder')
if target == 'first' then
  redis.call('RPUSH', wait, id)
  redis.call('ZADD', marker, 0, '0')
  redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'active')
elseif target == 'fair-queue' and redis.call('SCARD', job .. ':dependencies') > 0 then
  refundStart(tenant, run)
  redis.call('DEL', job .. ':unsuccessful')
  redis.call('ZADD', waitingChildren, redis.call('HGET', job, 'timestamp'), id)
  redis.call('XADD', events, '*', 'event', 'waiting-children', 'jobId', id, 'prev', 'active')
elseif target == 'fair-queue' then
  refundStart(tenant, run)
  redis.call('DEL', job .. ':unsuccessful')
  parkWaiting(id)
  enqueue(tenant, id, order)
  if deadline ~= '' then redis.call('ZADD', deadlines, deadline, id) end
  redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'active')
else
  if target == 'delayed' then redis.call('HINCRBY', job, 'atm', 1) end
  refundStart(tenant, run)
  redis.call('HSET', job, 'failedReason', failedReason)
  parkDelayed(id, dueAt)
  redis.call('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', dueAt)
end
if wakeChannel ~= '' then redis.call('PUBLISH', wakeChannel, '') end
redis.call('PUBLISH', eventLog, 'status')
return 'ok'
`,
});
