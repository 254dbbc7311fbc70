import type { Script } from '../redis/script.ts';
import { takeDeletions } from './deletions.ts';
import { claimIdempotencyKeys, storeJobsScript } from './enqueue/enqueue.ts';
import { endUndelivered, openUndelivered } from './enqueue/undelivered.ts';
import { dispatchFairQueue, pauseTenant, resumeTenant } from './fair-queue.ts';
import { forgetJobScript, retryJobScript } from './finished-job.ts';
import { giveBackJob } from './give-back.ts';
import { cancelJobScript, listBareJobs, readJobScript } from './job.ts';
import { claimPurchase, markPurchase, storePurchase } from './purchase.ts';
import { quotaAdvance } from './quota/advance.ts';
import { quotaGiveBack } from './quota/lease.ts';
import { quotaExpect, quotaSnapshot } from './quota/quota.ts';
import { quotaReport, quotaResume } from './quota/report.ts';
import { quotaReserve } from './quota/reserve.ts';
import { tenantGiveBack, tenantRenew, tenantReserve, tenantSettle } from './quota/tenant-limits.ts';
import { appendToEventLog, beginRun, findUnrecordedEnds, finishRun, saveRun } from './run.ts';
import {
  endActionPart,
  finishActionScript,
  leaseActionPart,
  passJobScript,
  startActionScript,
} from './selections/actions.ts';
import { lookAtJobs } from './selections/search.ts';
import { deleteExpiredJobs } from './storage/retention.ts';
import { dropRemovedJobs } from './storage/tenant-use.ts';
import { bookCall, settleEstimate, takeEstimates } from './usage.ts';
import { deliveryTurn, rememberOpenAiEvent, removeFromOutbox } from './webhooks.ts';
import { readBacklog } from './workers/backlog.ts';
import { beatWorker, leaveWorkers, readWorkers } from './workers/heartbeats.ts';
import { forgivePause, renewLocks } from './workers/locks.ts';

/** SCRIPTS lists every script that o3-queue runs in Redis. MONITOR and SLOWLOG name a script by its `sha`. */
export const SCRIPTS: readonly Script[] = [
  ...[claimIdempotencyKeys, storeJobsScript],
  ...[dispatchFairQueue, pauseTenant, resumeTenant],
  ...[readJobScript, cancelJobScript, retryJobScript, forgetJobScript, listBareJobs, giveBackJob],
  ...[renewLocks, forgivePause],
  ...[
    beginRun,
    saveRun,
    appendToEventLog,
    finishRun,
    findUnrecordedEnds,
    markPurchase,
    storePurchase,
    claimPurchase,
  ],
  ...[quotaExpect, quotaReserve, quotaSnapshot],
  ...[quotaAdvance, quotaGiveBack, quotaReport, quotaResume],
  ...[tenantReserve, tenantRenew, tenantGiveBack, tenantSettle],
  ...[rememberOpenAiEvent, removeFromOutbox, deliveryTurn, takeDeletions],
  ...[bookCall, takeEstimates, settleEstimate, deleteExpiredJobs, dropRemovedJobs],
  ...[beatWorker, leaveWorkers, readWorkers, readBacklog],
  ...[openUndelivered, endUndelivered, lookAtJobs],
  ...[startActionScript, leaseActionPart, passJobScript, endActionPart, finishActionScript],
];
