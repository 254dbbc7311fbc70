import type { Semaphore } from '../../src/async/semaphore.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { isFinishedJob, type ResultOutcome } from '../../src/job/job.ts';
import type { Fate } from './answer.ts';
import type { BatchKey } from './key.ts';
import type { Origin } from './question.ts';
import type { Patience } from './retry.ts';

/** A line whose job is at the instance. */
export interface AskedLine {
  key: BatchKey;
  origin: Origin;
  /** The job's. */
  id: string;
}

/** Waits for the answers of all lines that are added, a bounded number at a time. */
export interface AnswerCollector {
  add(line: AskedLine): void;
  /** Nothing more will be added. */
  close(): void;
  /** Resolves when it is closed and empty; rejects when something broke. */
  readonly ended: Promise<void>;
}

export interface CollectorOptions {
  client: Pick<O3Client, 'result'>;
  patience: Patience;
  window: Pick<Semaphore, 'inFlight'>;
  settle: (key: BatchKey, origin: Origin, fate: Fate) => Promise<void>;
  signal: AbortSignal;
}

/** Calls that wait at the instance at the same time. */
const LANES = 64;
const LONGEST_LOOK_MS = 5000;
const SHORTEST_LOOK_MS = 50;
/** How long it takes to have looked at every job once, at best, and when nothing has been answered for long. */
const QUICK_ROUND_MS = 2000;
const SLOW_ROUND_MS = 60_000;

/**
 * Few jobs have a lane each, where the instance tells of their end the moment it comes. More jobs than lanes take turns: one that takes
 * hours must not keep a lane from those that are done. The longer nothing is answered, the slower the turns.
 */
export function collectAnswers({
  client,
  patience,
  window,
  settle,
  signal,
}: CollectorOptions): AnswerCollector {
  const lines: AskedLine[] = [];
  let idle: (() => void)[] = [];
  let closed = false;
  let answeredAt = performance.now();

  const wake = (): void => {
    const woken = idle;
    idle = [];
    for (const resolve of woken) resolve();
  };
  const next = async (): Promise<AskedLine | undefined> => {
    for (;;) {
      signal.throwIfAborted();
      const line = lines.shift();
      if (line !== undefined || closed) return line;
      await new Promise<void>((resolve) => idle.push(resolve));
    }
  };
  const lookMs = (): number => {
    const waiting = window.inFlight;
    if (waiting <= LANES) return LONGEST_LOOK_MS;
    const roundMs = Math.min(SLOW_ROUND_MS, Math.max(QUICK_ROUND_MS, performance.now() - answeredAt));
    return Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, (roundMs * LANES) / waiting));
  };
  const lane = async (): Promise<void> => {
    for (;;) {
      const line = await next();
      if (line === undefined) return;
      const fate = await look(client, patience, line.id, { timeoutMs: lookMs(), signal });
      if (fate === undefined) lines.push(line);
      else {
        answeredAt = performance.now();
        await settle(line.key, line.origin, fate);
      }
    }
  };

  signal.addEventListener('abort', wake, { once: true });
  const ended = Promise.all(Array.from({ length: LANES }, lane)).then(() => {});
  // It is awaited by whoever runs the batch, perhaps after it has failed.
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

/** undefined: not finished yet. */
async function look(
  client: CollectorOptions['client'],
  patience: Patience,
  id: string,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<Fate | undefined> {
  let outcome: ResultOutcome;
  try {
    outcome = await patience(() => client.result(id, options));
  } catch (error: unknown) {
    if (!(error instanceof O3ClientError) || error.code !== 'job_not_found') throw error;
    const message = `The instance has forgotten the job ${id}, and its answer with it: its retention is over, or somebody deleted it`;
    return { status: 'gone', id, error: { code: error.code, message } };
  }
  if (outcome.status === 'completed') return { status: 'completed', id, result: outcome.result };
  const { job } = outcome;
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
