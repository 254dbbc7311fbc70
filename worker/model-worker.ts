import { type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { backoffDelayMs } from '../src/backoff.ts';
import type { Retention } from '../src/config-file.ts';
import { RetryableError } from '../src/failure.ts';
import type { Logger } from '../src/log.ts';
import type { ModelQueue } from '../src/queue/model-queue.ts';
import { keepSeconds } from '../src/queue/retention.ts';
import { createRunRecord, type RunRecordWriter } from '../src/queue/run-record.ts';
import type { RedisClient } from '../src/redis/connection.ts';
import { createActiveAttempts } from './active-attempts.ts';
import { runAttempt } from './attempt.ts';
import { listenForCancels } from './cancellations.ts';
import type { Outcome } from './outcome.ts';
import type { Slots } from './slots.ts';
import type { Upstream } from './upstream.ts';

/** How quickly a dead worker's jobs are taken over: at most `lockMs + stalledMs` after its death. */
export interface Recovery {
  /** Longer than the longest pause of the event loop and the shortest outage of Redis that should pass unnoticed. */
  lockMs: number;
  /** Counts for the whole queue, not for this worker: keep it the same on all of them. */
  stalledMs: number;
}

export interface ModelWorkerOptions {
  redis: RedisClient;
  /** A connection of its own for messages. */
  subscriber: RedisClient;
  prefix: string;
  queue: ModelQueue;
  retention: Retention;
  upstream: Upstream;
  slots: Slots;
  recovery: Recovery;
  logger: Logger;
}

export interface ModelWorker {
  /** Takes no more jobs, and gives back those that lose nothing by it. Resolves when the last one has ended. */
  leave(): Promise<void>;
  /** Gives back what is left. */
  release(): void;
}

/** Recoveries of one job, ever: a deploy or a crash is not its fault, but one that kills each worker must end. */
const MOST_RECOVERIES = 10;

/** The wiring of one model: BullMQ's worker on one side, attempts and their outcomes on the other. */
export function createModelWorker(options: ModelWorkerOptions): ModelWorker {
  const { redis, subscriber, prefix, queue, upstream, slots, recovery } = options;
  const { keys, config } = queue;
  const logger = options.logger.child({ model: queue.model });
  const attempts = createActiveAttempts();

  const recordOf = (job: Job, lockToken: string): RunRecordWriter =>
    createRunRecord({
      redis,
      keys,
      id: job.id ?? '',
      lockToken,
      jobCreatedAt: job.timestamp,
      keepSeconds: keepSeconds(options.retention),
    });

  const process = async (job: Job, token = ''): Promise<unknown> => {
    const id = job.id ?? '';
    const maxAttempts = job.opts.attempts || config.maxAttempts;
    // Whether there is another attempt is the outcome's to say, and when: BullMQ knows neither a retry by hand that
    // begins anew nor the upstream's Retry-After. Only this process sees these two; Redis keeps what the producer wrote.
    job.opts.attempts = Number.MAX_SAFE_INTEGER;
    job.opts.backoff = { type: 'o3q' };
    const active = attempts.begin(id);
    slots.taken(worker);
    try {
      const outcome = await runAttempt({
        data: job.data,
        attemptsMade: job.attemptsMade,
        maxAttempts,
        upstreamModel: config.upstream,
        timeoutMs: config.timeoutMs,
        record: recordOf(job, token),
        upstream,
        active,
      });
      logOutcome(logger, id, outcome);
      return await settle(outcome, job, token);
    } finally {
      attempts.end(id, active);
      slots.freed(worker);
    }
  };

  const worker = new Worker(keys.queueName, process, {
    connection: redis,
    prefix,
    concurrency: 1,
    lockDuration: recovery.lockMs,
    stalledInterval: recovery.stalledMs,
    maxStalledCount: MOST_RECOVERIES,
    // Seconds an idle worker sleeps at most: BullMQ wakes nobody for a released job that has a priority.
    drainDelay: 1,
    settings: {
      backoffStrategy: (attemptsMade, _type, error) =>
        backoffDelayMs(
          config.backoff,
          attemptsMade,
          error instanceof RetryableError ? error.retryAfterMs : undefined,
        ),
    },
  });
  slots.join(worker);

  const logError = (error: Error): void => logger.error({ error: error.message }, 'worker error');
  const cancellations = listenForCancels(redis, subscriber, keys, attempts, logError);
  worker.on('error', logError);
  worker.on('lockRenewalFailed', (ids: string[]) => {
    for (const id of ids) attempts.interrupt(id, 'lock lost');
  });
  worker.on('locksRenewed', ({ jobIds }) => {
    cancellations.sweep(jobIds).catch(logError);
  });
  worker.on('stalled', (id) => logger.warn({ job: id }, 'recovered from a worker that died'));
  worker.on('failed', (job, error) => {
    if (job?.finishedOn !== undefined) endForBullmq(recordOf(job, ''), error).catch(logError);
  });

  return {
    leave() {
      const closed = worker.close();
      attempts.leave();
      return closed;
    },
    release: () => attempts.interruptAll('shutdown'),
  };
}

/** Says to BullMQ, in its own gestures, what became of an attempt. */
async function settle(outcome: Outcome, job: Job, token: string): Promise<unknown> {
  switch (outcome.kind) {
    case 'completed':
      return outcome.summary;
    case 'failed':
      throw new UnrecoverableError(`${outcome.code}: ${outcome.message}`);
    case 'cancelled':
      throw new UnrecoverableError('cancelled: on request');
    case 'retry':
      throw outcome.failure;
    case 'released':
      await job.moveToWait(token);
      throw new WaitingError();
    case 'lost':
      // Whatever is thrown here, BullMQ cannot move the job without its lock.
      throw new Error(`job ${job.id} is another worker's now`);
    default: {
      const never: never = outcome;
      throw new Error(`unknown outcome ${JSON.stringify(never)}`);
    }
  }
}

/** BullMQ fails a job by itself when it was recovered too often or when our own code broke; our record follows. */
async function endForBullmq(record: RunRecordWriter, { message }: Error): Promise<void> {
  const code = message.startsWith('job stalled') ? 'stalled' : 'internal_error';
  await record.finish({
    status: 'failed',
    error: { code, message, retryable: code === 'stalled' },
    usage: null,
  });
}

/** Messages of the upstream may quote the question, so that they are for `debug` only; the code is for everybody. */
function logOutcome(logger: Logger, job: string, outcome: Outcome): void {
  const line = { job };
  switch (outcome.kind) {
    case 'completed':
      logger.info({ ...line, usage: outcome.summary.usage }, 'completed');
      return;
    case 'failed':
      logger.debug({ ...line, message: outcome.message }, 'failed because');
      logger.warn({ ...line, code: outcome.code }, 'failed');
      return;
    case 'retry':
      logger.debug({ ...line, message: outcome.failure.message }, 'to be retried because');
      logger.warn({ ...line, code: outcome.failure.code }, 'to be retried');
      return;
    case 'cancelled':
    case 'released':
      logger.info(line, outcome.kind);
      return;
    case 'lost':
      logger.warn(line, 'lost to another worker');
      return;
    default: {
      const never: never = outcome;
      throw new Error(`unknown outcome ${JSON.stringify(never)}`);
    }
  }
}
