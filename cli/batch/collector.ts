import type { Semaphore } from '../../src/async/semaphore.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { ResultOutcome } from '../../src/job/view.ts';
import type { Origin } from './files/input-line.ts';
import type { BatchKey } from './files/key.ts';
import type { LineOutcome } from './files/output-line.ts';
import type { Retry } from './retry.ts';

/** EnqueuedLine is an input line that has become a job. */
export interface EnqueuedLine {
  key: BatchKey;
  origin: Origin;
  /** The id of the job. */
  id: string;
}

/** AnswerCollector waits for the answers of all added lines, with a bounded number of calls at a time. */
export interface AnswerCollector {
  add(line: EnqueuedLine): void;
  /** Says that no more lines will be added. */
  close(): void;
  /**
   * Resolves when the collector is closed and every line has its outcome; rejects when a call fails for good.
   */
  readonly ended: Promise<void>;
}

export interface CollectorOptions {
  client: Pick<O3Client, 'result'>;
  retry: Retry;
  window: Pick<Semaphore, 'inUse'>;
  settle: (key: BatchKey, origin: Origin, outcome: LineOutcome) => Promise<void>;
  signal: AbortSignal;
}

/** How many calls wait at the instance at the same time. */
const LANES = 64;
const LONGEST_WAIT_MS = 5000;
const SHORTEST_WAIT_MS = 50;
/** The shortest time in which the collector asks about every job once, in milliseconds. */
const QUICK_ROUND_MS = 2000;
/**
 * The longest time in which it asks about every job once, in milliseconds. It takes this long when no answer
 * has come for a long time.
 */
const SLOW_ROUND_MS = 60_000;

/**
 * collectAnswers starts a collector. A lane is one call at a time that the instance answers when a job ends.
 * While there are no more jobs than lanes, each job has a lane of its own. More jobs take turns, so that a
 * job that takes hours does not block a lane while other jobs have finished. The longer no answer comes, the
 * slower the turns.
 */
export function collectAnswers({ client, retry, window, settle, signal }: CollectorOptions): AnswerCollector {
  const lines: EnqueuedLine[] = [];
  let idle: (() => void)[] = [];
  let closed = false;
  let answeredAt = performance.now();

  const wake = (): void => {
    const woken = idle;
    idle = [];
    for (const resolve of woken) resolve();
  };
  const next = async (): Promise<EnqueuedLine | undefined> => {
    for (;;) {
      signal.throwIfAborted();
      const line = lines.shift();
      if (line !== undefined || closed) return line;
      await new Promise<void>((resolve) => idle.push(resolve));
    }
  };
  const waitMs = (): number => {
    const waiting = window.inUse;
    if (waiting <= LANES) return LONGEST_WAIT_MS;
    const roundMs = Math.min(SLOW_ROUND_MS, Math.max(QUICK_ROUND_MS, performance.now() - answeredAt));
    return Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, (roundMs * LANES) / waiting));
  };
  const lane = async (): Promise<void> => {
    for (;;) {
      const line = await next();
      if (line === undefined) return;
      const outcome = await outcomeOfJob(client, retry, line.id, { timeoutMs: waitMs(), signal });
      if (outcome === undefined) lines.push(line);
      else {
        answeredAt = performance.now();
        await settle(line.key, line.origin, outcome);
      }
    }
  };

  signal.addEventListener('abort', wake, { once: true });
  const ended = Promise.all(Array.from({ length: LANES }, lane)).then(() => {});
  // The batch may await this promise only after it has rejected. Without this handler Node would report an
  // unhandled rejection.
  ended.catch(() => {});
  return {
    add(line) {
      lines.push(line);
      wake();
    },
    close() {
      closed = true;
      wake();
    },
    ended,
  };
}

/** outcomeOfJob asks how a job ended. @returns undefined for a job that has not ended. */
async function outcomeOfJob(
  client: CollectorOptions['client'],
  retry: Retry,
  id: string,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<LineOutcome | undefined> {
  let result: ResultOutcome;
  try {
    result = await retry(() => client.result(id, options));
  } catch (error: unknown) {
    if (!(error instanceof O3ClientError) || error.code !== 'job_not_found') throw error;
    const message = `The instance no longer has job ${id}: its retention is over, or it was deleted`;
    return { status: 'gone', id, error: { code: error.code, message } };
  }
  if (result.status === 'completed') return { status: 'completed', id, result: result.result };
  const { job } = result;
  if (!isFinishedJob(job)) return undefined;
  switch (job.status) {
    case 'failed':
      return {
        status: 'failed',
        id,
        error: { code: job.error.code, message: job.error.message },
        costUsd: job.cost_usd,
      };
    case 'cancelled':
      return {
        status: 'cancelled',
        id,
        error: { code: 'job_cancelled', message: `The job was cancelled at ${job.finished_at}` },
        costUsd: job.cost_usd,
      };
    default:
      return job satisfies never;
  }
}
