import { type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { ModelConfig, Retention } from '../src/config-file.ts';
import type { Logger } from '../src/log.ts';
import { optionsFrom } from '../src/queue/job-options.ts';
import type { ModelQueue } from '../src/queue/model-queue.ts';
import { keepSeconds } from '../src/queue/retention.ts';
import { createRunRecord, type RunRecordWriter } from '../src/queue/run-record-writer.ts';
import type { RedisClient } from '../src/redis/connection.ts';
import { createActiveAttempts } from './active-attempts.ts';
import { type Attempt, runAttempt } from './attempt.ts';
import { listenForCancels } from './cancellations.ts';
import { closeWorker, JobWorker } from './job-worker.ts';
import type { Metrics } from './metrics.ts';
import type { Outcome } from './outcome.ts';
import { logOutcome, logPurchase } from './outcome-log.ts';
import type { Pace } from './pace.ts';
import type { PurchaseEvent } from './purchase.ts';
import type { Upstream } from './upstream.ts';

/** How quickly a dead worker's jobs are taken over: at most `lockMs + stalledMs` after its death, and a moment for the taking. */
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
  /** undefined: the upstream sends none. */
  webhooks: Attempt['webhooks'];
  /** Of all that write journals in this process. */
  journalPace: Pace;
  metrics: Metrics;
  /** Jobs held at once. */
  concurrency: number;
  recovery: Recovery;
  logger: Logger;
  onError: (error: Error) => void;
}

export interface ModelWorker {
  /** Takes no more jobs, and gives back those that lose nothing by it. Resolves when the last one has ended. */
  leave(): Promise<void>;
  /** Gives back what is left. */
  release(): void;
  /** Whether something is being bought or answered here that no other worker could fetch. */
  holdsAnswers(): boolean;
  /** Lets go of everything, gives nothing back. */
  abandon(): void;
}

/** Recoveries of one job, ever: a deploy or a crash is not its fault, but one that kills each worker must end. */
const MOST_RECOVERIES = 10;

/** The wiring of one model: BullMQ's worker on one side, attempts and their outcomes on the other. */
export function createModelWorker(options: ModelWorkerOptions): ModelWorker {
  const { redis, subscriber, prefix, queue, upstream, webhooks, journalPace, recovery, onError } = options;
  const { keys, config } = queue;
  const logger = options.logger.child({ model: queue.model });
  const attempts = createActiveAttempts();
  const metrics = options.metrics.of(queue.model, () => attempts.ids().length);

  const recordOf = (job: Job, lockToken: string): RunRecordWriter =>
    createRunRecord({
      redis,
      keys,
      id: job.id ?? '',
      lockToken,
      jobCreatedAt: job.timestamp,
      tenant: optionsFrom(job.opts).group?.id,
      keepSeconds: keepSeconds(options.retention),
    });

  const notePurchase = (id: string, what: PurchaseEvent): void => {
    logPurchase(logger, id, what);
    metrics.purchase(what);
  };

  const run = async (job: Job, token: string): Promise<Outcome> => {
    const id = job.id ?? '';
    const maxAttempts = attemptsOf(job, config);
    // For an error that nobody expected; only this process sees these two, Redis keeps what the producer wrote.
    job.opts.attempts = maxAttempts;
    job.opts.backoff = { type: 'fixed', delay: config.backoff.baseMs };
    // BullMQ was just taking one more when it was told to pause.
    if (attempts.areLeaving()) return { kind: 'released' };
    return attempts.hold(id, (active) =>
      runAttempt({
        data: job.data,
        attemptsMade: job.attemptsMade,
        maxAttempts,
        model: config,
        record: recordOf(job, token),
        upstream,
        webhooks,
        active,
        journalPace,
        onPurchase: (what) => notePurchase(id, what),
      }),
    );
  };

  const process = async (job: Job, token = ''): Promise<unknown> => {
    const outcome = await run(job, token);
    logOutcome(logger, job.id ?? '', outcome);
    metrics.outcome(outcome.kind);
    return settle(outcome, job, token);
  };

  const bullmq = {
    connection: redis,
    prefix,
    concurrency: options.concurrency,
    lockDuration: recovery.lockMs,
    stalledInterval: recovery.stalledMs,
    maxStalledCount: MOST_RECOVERIES,
    // Seconds an idle worker sleeps at most: BullMQ wakes nobody for a released job that has a priority.
    drainDelay: 1,
  };
  const worker = new JobWorker(keys.queueName, process, bullmq, (id) => attempts.interrupt(id, 'lock lost'));

  const cancellations = listenForCancels(redis, subscriber, keys, attempts, onError);
  worker.on('error', (error) => {
    // Said once more for each job that `lockRenewalFailed` names: those that were just given back are among them, and nothing is wrong.
    if (!error.message.startsWith('could not renew lock')) onError(error);
  });
  worker.on('lockRenewalFailed', (ids: string[]) => {
    for (const id of ids) attempts.interrupt(id, 'lock lost');
  });
  worker.on('locksRenewed', ({ jobIds }) => {
    cancellations.sweep(jobIds).catch(onError);
  });
  worker.on('stalled', (id) => logger.warn({ job: id }, 'recovered from a worker that died'));
  worker.on('failed', (job, error) => {
    // Delayed, until its next attempt: BullMQ tells nobody who watches one job.
    if (job?.id !== undefined && job.finishedOn === undefined)
      redis.publish(keys.journal(job.id), 'status').catch(onError);
    if (job?.finishedOn === undefined || error instanceof RecordedEnd) return;
    endForBullmq(recordOf(job, ''), error).catch(onError);
  });

  return {
    async leave() {
      const paused = worker.pause(true);
      attempts.leave();
      await paused;
      await closeWorker(worker, redis);
    },
    release: () => attempts.interruptAll('shutdown'),
    holdsAnswers: () => attempts.holdAnswers(),
    abandon() {
      worker.close(true).catch(onError);
    },
  };
}

/** A producer that says nothing leaves it to the model; BullMQ then writes 0. */
function attemptsOf(job: Job, config: ModelConfig): number {
  return job.opts.attempts || config.maxAttempts;
}

/** Tells BullMQ of an end that our record has already. */
class RecordedEnd extends UnrecoverableError {}

/** Says to BullMQ, in its own gestures, what became of an attempt. */
async function settle(outcome: Outcome, job: Job, token: string): Promise<unknown> {
  switch (outcome.kind) {
    case 'completed':
      return outcome.summary;
    case 'failed':
      throw new RecordedEnd(`${outcome.code}: ${outcome.message}`);
    case 'cancelled':
      throw new RecordedEnd('cancelled: on request');
    case 'retry': {
      // Whether there is another attempt is the outcome's to say, and when: BullMQ knows neither a retry by hand that
      // begins anew nor the upstream's Retry-After.
      job.opts.attempts = Number.MAX_SAFE_INTEGER;
      job.opts.backoff = { type: 'fixed', delay: outcome.delayMs };
      throw outcome.failure;
    }
    case 'released':
      return giveBack(job, token);
    case 'lost':
      // Tells BullMQ that the job has been moved already: it is another worker's now, and nothing may be written.
      throw new WaitingError();
    default: {
      const never: never = outcome;
      throw new Error(`unknown outcome ${JSON.stringify(never)}`);
    }
  }
}

/** Uncharged, and to the head of the line. */
async function giveBack(job: Job, token: string): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
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
