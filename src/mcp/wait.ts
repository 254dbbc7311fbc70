import { sleep } from '../async/sleep.ts';
import { isFinishedJob } from '../job/job.ts';
import type { JobView } from '../job/view.ts';
import { refusalFrom } from './refusal.ts';
import { statusSentence } from './sentences.ts';
import type { McpCall } from './tool.ts';

/**
 * The longest wait of one call, in seconds. The official SDKs give a call up after 60 s, and a wait of 50 s
 * leaves time for its answer.
 */
export const LONGEST_WAIT_S = 50;
/** How often a client that asked for it hears how far its wait is, in milliseconds. */
const PROGRESS_MS = 5000;
/** The pause before the next look while the instance or its Redis does not answer, in milliseconds. */
const PAUSE_MS = 1000;
/** Refusals that pass by themselves. A wait goes on meanwhile. */
const PASSING: readonly string[] = ['redis_unavailable', 'instance_unreachable'];

/** Waited is a job after a wait. */
export interface Waited {
  /** The job as it was last seen. */
  job: JobView;
  /** Why the job could not be looked at when the wait ended; undefined: it could. */
  trouble: string | undefined;
}

/**
 * waitForEnd waits until a job has ended, for a limited time, and returns the job as it was last seen. It
 * also returns when the client has gone or this process is about to stop. The job goes on in any case.
 *
 * @throws {JobQueueError} when the job is deleted meanwhile.
 */
export async function waitForEnd(job: JobView, seconds: number, call: McpCall): Promise<Waited> {
  const endAt = performance.now() + seconds * 1000;
  let latest = job;
  let trouble: string | undefined;
  for (;;) {
    const leftMs = endAt - performance.now();
    if (isFinishedJob(latest) || leftMs <= 0 || call.signal.aborted) return { job: latest, trouble };
    await call.progress(trouble ?? statusSentence(latest));
    try {
      const timeoutMs = Math.min(leftMs, PROGRESS_MS);
      latest = await call.queue.wait(latest.id, { timeoutMs, signal: call.signal });
      trouble = undefined;
    } catch (error: unknown) {
      if (call.signal.aborted) continue;
      const refusal = refusalFrom(error);
      if (refusal === undefined || !PASSING.includes(refusal.code)) throw error;
      trouble = refusal.message;
      await sleep(Math.min(leftMs, PAUSE_MS), call.signal).catch(() => {});
    }
  }
}
