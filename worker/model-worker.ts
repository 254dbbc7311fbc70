import type { Job } from 'bullmq';
import type { Pace } from '../src/async/pace.ts';
import type { WorkerSettings } from '../src/config/file.ts';
import { cancelJob } from '../src/job-store/actions.ts';
import { CANCELLED } from '../src/metrics/process-metrics.ts';
import type { ModelQueue } from '../src/model-queue/model-queue.ts';
import type { Logger } from '../src/process/log.ts';
import type { Quotas } from '../src/quota/quota.ts';
import type { TenantQuotas } from '../src/quota/tenant-quota.ts';
import { type Acknowledger, storedPurchase } from '../src/redis/ack/acknowledgement.ts';
import type { RedisClient } from '../src/redis/connection.ts';
import { serverTime } from '../src/redis/server-time.ts';
import { keepSeconds } from '../src/run/record.ts';
import { createRunRecordWriter } from '../src/run/redis-writer.ts';
import type { RunRecordWriter } from '../src/run/writer.ts';
import type { AttemptTrace } from '../src/tracing/attempt-trace.ts';
import { usageKey } from '../src/usage/keys.ts';
import type { PriceList } from '../src/usage/price.ts';
import {
  type ActiveAttempt,
  createActiveAttempts,
  listenForCancels,
  listenForWatchers,
} from './attempt/active-attempt.ts';
import { runAttempt } from './attempt/attempt.ts';
import type { AttemptServices } from './attempt/attempt-state.ts';
import type { Outcome } from './attempt/outcome.ts';
import {
  giveBackTarget,
  limitAttempts,
  queuedJobOf,
  RecordedEnd,
  settle,
  startTrace,
  tenantOf,
} from './bullmq-job.ts';
import { startDispatcher } from './dispatch/dispatcher.ts';
import type { ServedModel } from './heartbeat.ts';
import { closeWorker, JobWorker, type QueueWorker, type Recovery } from './job-worker.ts';
import { createBullmqEnds } from './maintenance/bullmq-ends.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { ModelMetrics } from './metrics/model-metrics.ts';
import { logOutcome, logPurchase, logQuotaSignals } from './metrics/outcome-log.ts';
import { createRunObserver } from './metrics/run-observer.ts';
import type { QuotaSignals } from './reservation/quota-signals.ts';
import { createReservations } from './reservation/reservations.ts';
import type { TenantLimits } from './reservation/tenant-limits.ts';
import type { Upstream } from './upstream/client.ts';
import type { LostResponses, OpenAiEvents } from './upstream/openai-events.ts';

export interface ModelWorkerOptions {
  redis: RedisClient;
  /** A separate connection for messages. */
  subscriber: RedisClient;
  prefix: string;
  queue: ModelQueue;
  /** They may change: each field is read when it is needed. */
  settings: WorkerSettings;
  prices: PriceList;
  /** The quotas, which all workers share. */
  quotas: Quotas;
  quotaSignals: QuotaSignals;
  tenantQuotas: TenantQuotas;
  tenantLimits: TenantLimits;
  upstream: Upstream;
  /** undefined: the upstream sends no webhooks. */
  openAiEvents: OpenAiEvents | undefined;
  lostResponses: LostResponses | undefined;
  /** Shared by all event log writers of this process. */
  eventLogPace: Pace;
  acknowledger: Pick<Acknowledger, 'reached'>;
  metrics: Metrics;
  /** The most jobs of the model that this worker holds at the same time. */
  concurrency: number;
  recovery: Recovery;
  /** See WorkerOptions. */
  windowScale: number;
  logger: Logger;
  onError: (error: Error) => void;
}

/**
 * How often one job may be recovered. A deploy or a crash is not the job's fault, but a job that kills every
 * worker must end.
 */
const MOST_RECOVERIES = 10;

/** ModelWorker is a worker of one model. */
export interface ModelWorker extends QueueWorker, ServedModel {
  readonly metrics: ModelMetrics;
  /** Records the ends of jobs that BullMQ has failed, and whose worker died before it recorded them. */
  recordEnds(): Promise<void>;
}

/**
 * How long a worker may need to take a job back after it has noticed that the lock is lost, in milliseconds.
 * BullMQ renews a lock before half of the lock's life is over.
 */
const TAKE_BACK_MS = 1000;

/** createModelWorker connects BullMQ's worker for one model with the attempts and their outcomes. */
export function createModelWorker(options: ModelWorkerOptions): ModelWorker {
  const { redis, subscriber, prefix, settings, queue, recovery, onError } = options;
  const { keys } = queue;
  const { quotas, quotaSignals, tenantQuotas, tenantLimits } = options;
  const logger = options.logger.child({ model: queue.model });
  // As many jobs again may be within a completion window: without places of their own, these would keep all
  // others out for hours. Such a job only waits, for 25 KB and a lookup every five minutes.
  const attempts = createActiveAttempts(() =>
    worker.holdUpTo(options.concurrency + Math.min(attempts.windowed(), options.concurrency)),
  );
  const held = new Map<string, number>();
  const metrics = options.metrics.of(queue.model, () => attempts.ids().length);

  const reservations = createReservations({
    ...{ model: queue.model, quotas, tenantQuotas, tenantLimits, signals: quotaSignals, onError },
    upstreamModels: () => queue.upstreamModels,
    windowScale: options.windowScale,
    onSignal: (upstream, signal) => logQuotaSignals(logger, upstream, signal),
    onRoom: () => dispatcher.hearRoom(),
    onThrottled: () => metrics.throttled(),
  });

  const writerOf = (job: Job, lockToken: string, trace?: AttemptTrace): RunRecordWriter =>
    createRunRecordWriter({
      ...{ redis, keys, lockToken, compression: queue.compression },
      id: job.id ?? '',
      lockMs: recovery.lockMs,
      jobCreatedAt: job.timestamp,
      tenant: tenantOf(job) || undefined,
      usageKey: (day) => usageKey(prefix, queue.model, day),
      keepSeconds: keepSeconds(settings.retention),
      trace: trace?.attempt,
      ...createRunObserver(job, metrics, options.upstream.isSimulated),
    });

  const services: Omit<AttemptServices, 'model'> = {
    alias: queue.model,
    prices: options.prices,
    upstream: options.upstream,
    openAiEvents: options.openAiEvents,
    lostResponses: options.lostResponses,
    eventLogPace: options.eventLogPace,
    now: () => serverTime(redis),
    takeBackMs: recovery.lockMs / 2 + TAKE_BACK_MS,
    onFirstToken: metrics.firstToken,
  };

  const run = async (job: Job, token: string): Promise<Outcome> => {
    const id = job.id ?? '';
    // An attempt keeps the settings with which it began.
    const model = queue.config;
    const maxAttempts = limitAttempts(job, model);
    const trace = startTrace(job, { queue, tenants: settings.tenants }, services.now());
    const writer = writerOf(job, token, trace);
    const attempt = async (active: ActiveAttempt): Promise<Outcome> => {
      const reservation = reservations.open({ id, tenant: tenantOf(job) });
      try {
        const outcome = await runAttempt({
          ...services,
          model,
          ...{ data: job.data, tenant: tenantOf(job), attemptsMade: job.attemptsMade, maxAttempts },
          isFirstStart: job.attemptsStarted === 1 && job.attemptsMade === 0,
          ...{ writer, active, reservation, trace },
          onPurchase(what) {
            logPurchase(logger, id, what);
            if (what === 'bought') void options.acknowledger.reached(storedPurchase(keys, id));
            metrics.purchase(what);
          },
        });
        // A job that was released or lost keeps its reservation, which the job's next worker takes over.
        const isAnswered = outcome.kind === 'completed';
        if (outcome.kind !== 'released' && outcome.kind !== 'lost')
          reservation.settle(isAnswered ? outcome.summary.usage : null, isAnswered);
        return outcome;
      } finally {
        reservation.close();
      }
    };
    const tenant = tenantOf(job);
    const count = (by: number): void => void held.set(tenant, (held.get(tenant) ?? 0) + by);
    count(1);
    return attempts.run(id, attempt, writer.takeBack).finally(() => count(-1));
  };

  /**
   * Gives the job back if its outcome requires it. If the job was cancelled before that, the attempt runs
   * again, finds the cancel mark and ends the job.
   */
  const giveBack = async (outcome: Outcome, job: Job, token: string): Promise<Outcome> => {
    const target = giveBackTarget(outcome, serverTime(redis));
    if (target === undefined) return outcome;
    const answer = await queue.fairQueue.giveBack(queuedJobOf(job), token, target);
    if (answer === 'lock-lost') return { kind: 'lost' };
    return answer === 'cancel-requested' ? giveBack(await run(job, token), job, token) : outcome;
  };

  const processJob = async (job: Job, token = ''): Promise<unknown> => {
    // BullMQ may be taking one more job when it is told to pause.
    const ran: Outcome = attempts.isStopRequested() ? { kind: 'released' } : await run(job, token);
    const outcome = await giveBack(ran, job, token);
    logOutcome(logger, job.id ?? '', outcome, settings.http?.publicUrl);
    metrics.outcome(outcome);
    return settle(outcome);
  };

  /**
   * After an unexpected error BullMQ itself delays the job. A cancel that came while the job was active is
   * only a mark in the record, so this function ends a job that has the mark.
   */
  const endIfCancelled = async (job: Job): Promise<void> => {
    const [id, record] = [job.id ?? '', await writerOf(job, '').read()];
    const reading = record.cancelRequested ? await queue.read(id) : null;
    if (reading === null) return;
    const onCancelled = (): void => metrics.ended(CANCELLED, false);
    await cancelJob({ redis, models: settings, onCancelled }, { queue, bullId: id, reading });
  };

  const ends = createBullmqEnds({ ...options, writerOf, logger });

  const bullmq = {
    connection: redis,
    prefix,
    concurrency: options.concurrency,
    lockDuration: recovery.lockMs,
    stalledInterval: recovery.stalledMs,
    maxStalledCount: MOST_RECOVERIES,
    // How long an idle worker sleeps at most, in seconds. BullMQ does not wake a worker for a job that
    // another client puts back with a priority.
    drainDelay: 1,
    // How long a worker sleeps at most while Bull Board has set a rate limit. No message wakes it when the
    // limit ends.
    maximumRateLimitDelay: 1000,
  };
  const worker = new JobWorker(keys.queueName, processJob, bullmq, (id) => attempts.loseLock(id));

  const fetchedOf = (tenant?: string): number =>
    worker.fetched().filter((job) => tenant === undefined || tenantOf(job) === tenant).length;
  const dispatcher = startDispatcher({
    ...{ settings, queue, quotas, quotaSignals, tenantQuotas, tenantLimits, subscriber, onError },
    now: () => serverTime(redis),
    windowScale: options.windowScale,
    room: () =>
      attempts.isStopRequested() ? 0 : worker.concurrency - attempts.ids().length - worker.fetched().length,
    windowedRoom: () => options.concurrency - attempts.windowed(),
    held: (tenant) => (held.get(tenant) ?? 0) + fetchedOf(tenant),
    unsent: (tenant) => reservations.unsent(tenant) + fetchedOf(tenant),
  });
  const cancels = listenForCancels(redis, subscriber, keys, attempts, onError);
  listenForWatchers(subscriber, keys, attempts, onError);
  worker.on('error', (error) => {
    // For each job of `lockRenewalFailed` BullMQ also emits this error. Some of these jobs were just given
    // back, so nothing is wrong.
    if (!error.message.startsWith('could not renew lock')) onError(error);
  });
  worker.on('lockRenewalFailed', (ids: string[]) => {
    for (const id of ids) attempts.loseLock(id);
  });
  worker.on('locksRenewed', ({ jobIds }) => {
    cancels.checkMarks(jobIds).catch(onError);
  });
  const logRecovery = (id: string): void => logger.warn({ job: id }, 'recovered from a worker that died');
  worker.on('stalled', logRecovery);
  worker.on('failed', (job, error) => {
    // After an unexpected error the job is delayed until its next attempt. BullMQ sends no message to readers
    // of the job's events.
    if (job?.id !== undefined && job.finishedOn === undefined) {
      redis.publish(keys.eventLog(job.id), 'status').catch(onError);
      endIfCancelled(job).catch(onError);
    }
    if (job?.finishedOn === undefined || error instanceof RecordedEnd) return;
    ends.record(job, error).catch(onError);
    reservations.giveBack({ id: job.id ?? '', tenant: tenantOf(job) }).catch(onError);
  });

  return {
    queue,
    recordEnds: ends.recordAll,
    metrics,
    workerId: worker.id,
    slots: options.concurrency,
    mostRecoveries: MOST_RECOVERIES,
    activeJobs: () => attempts.ids().length,
    onRecovered: (ids) => ids.forEach(logRecovery),
    async leave() {
      const paused = worker.pause(true);
      attempts.requestStop();
      await Promise.all([paused, dispatcher.stop()]);
      await closeWorker(worker, redis);
      reservations.close();
    },
    release: () => attempts.interruptAll('shutdown'),
    hasUnrecoverableWork: () => attempts.haveUnrecoverableWork(),
    abandon() {
      reservations.close();
      dispatcher.stop().catch(onError);
      worker.close(true).catch(onError);
    },
  };
}
