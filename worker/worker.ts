import { actionKeysOf } from '../src/actions/keys.ts';
import { createActionRunner } from '../src/actions/runner.ts';
import { cachedRead } from '../src/async/cached-read.ts';
import { createPace } from '../src/async/pace.ts';
import { throttledErrors } from '../src/async/throttled-errors.ts';
import { withTimeout } from '../src/async/with-timeout.ts';
import type { WorkerSettings } from '../src/config/file.ts';
import { CANCELLED, type ProcessMetrics } from '../src/metrics/process-metrics.ts';
import { createModelQueue } from '../src/model-queue/model-queue.ts';
import { readMemory } from '../src/model-queue/redis-memory.ts';
import { modelViewsFrom, readModels, troublesIn } from '../src/models/status.ts';
import { readDescriptors, sayDescriptorsAreFew, slotsFor } from '../src/process/descriptors.ts';
import type { Logger } from '../src/process/log.ts';
import type { Stoppable } from '../src/process/shutdown.ts';
import { createQuotas } from '../src/quota/quota.ts';
import { createTenantQuotas } from '../src/quota/tenant-quota.ts';
import { createAcknowledger } from '../src/redis/ack/acknowledgement.ts';
import type { Ack } from '../src/redis/ack/level.ts';
import { createWeakAckLog } from '../src/redis/ack/weak-ack-log.ts';
import { connectRedis, disconnectRedis } from '../src/redis/connection.ts';
import { serverTime } from '../src/redis/server-time.ts';
import { createWriteProbe, type WriteProbe } from '../src/redis/write-probe.ts';
import type { UsageSpent } from '../src/run/record.ts';
import { createPriceList } from '../src/usage/price.ts';
import { createUsageStore } from '../src/usage/store.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { QueueWorker, Recovery } from './job-worker.ts';
import { leaveAll } from './leave.ts';
import { drainDeletions } from './maintenance/deletions.ts';
import { keepDrained } from './maintenance/drains.ts';
import { drainEstimates } from './maintenance/estimates.ts';
import { keepHistory } from './maintenance/history.ts';
import { keepCatalog } from './maintenance/model-catalog.ts';
import { keepRetention } from './maintenance/retention.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';
import { createModelWorker } from './model-worker.ts';
import { createQuotaSignals } from './reservation/quota-signals.ts';
import { createTenantLimits } from './reservation/tenant-limits.ts';
import { createUpstream, type UpstreamOptions } from './upstream/client.ts';
import { createLostResponses, listenForOpenAiEvents } from './upstream/openai-events.ts';
import { createWebhooksOut, type WebhooksOutOptions } from './webhooks/webhooks.ts';

export interface WorkerOptions {
  /** They may change while the worker runs: each field is read when it is needed. */
  settings: WorkerSettings;
  redisUrl: string;
  prefix: string;
  /** What Redis must have done with the id of a bought response. Default `memory`. */
  ack?: Ack;
  /**
   * The most jobs that this worker holds at the same time, if it may open so many descriptors. The models get
   * equal shares, at least one job each.
   */
  concurrency: number;
  upstream: UpstreamOptions & {
    /** Whether the upstream sends webhooks and the producers accept them. Default false. */
    webhooks?: boolean;
  };
  /** undefined: this worker delivers no webhooks to callers. */
  webhooksOut?: WebhooksOutOptions | undefined;
  /** The metrics of the process, to which the worker adds its own. Default: the worker's alone. */
  metrics?: ProcessMetrics;
  logger: Logger;
  /**
   * Default: a lock of 12 s, checked every 3 s, so that another worker has those jobs of a dead worker that
   * cannot be adopted within 20 s.
   */
  recovery?: Recovery;
  /**
   * How many times faster than the real time the upstream's completion windows run. It is 1 for every upstream
   * but a simulator whose clock is scaled, so no setting exists for it: only `npm run chaos` gives it.
   */
  windowScale?: number;
}

const DEFAULT_RECOVERY: Recovery = { lockMs: 12_000, stalledMs: 3000 };
/** How old the state of all models may be when it is reported, in milliseconds. */
const LOOK_FRESH_MS = 1000;
/** How long a caller waits for a new read of that state, in milliseconds. */
const LOOK_TIMEOUT_MS = 1000;
/**
 * How many batches of events this process writes in a second, at most. When it streams more than 200 answers
 * at once, each answer is written less often.
 */
const LOG_BATCHES_PER_SECOND = 2000;

export interface O3Worker extends Stoppable {
  /** alive resolves when Redis has this worker's first heartbeat. */
  readonly alive: Promise<void>;
  readonly redisTrouble: WriteProbe;
  /**
   * Returns a sentence for each configured model whose jobs are not answered now. The list is also empty when
   * Redis does not answer in time.
   */
  troubles(): Promise<string[]>;
  /**
   * Uses another key of the upstream for every request from now on, and ends the pauses of models whose
   * credentials were refused. A refusal of the old key that comes later begins a pause again.
   */
  useKey(apiKey: string): void;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
}

/** startWorker starts to take jobs of every configured model. */
export function startWorker(options: WorkerOptions): O3Worker {
  const { settings, redisUrl, prefix, ack = 'memory', logger } = options;
  const { recovery = DEFAULT_RECOVERY, windowScale = 1 } = options;
  const descriptors = readDescriptors();
  const onError = throttledErrors((error) => logger.error({ error: error.message }, 'queue error'));
  const redis = connectRedis(redisUrl, 'patient', { onError, name: `${prefix}:worker` });
  const subscriber = connectRedis(redisUrl, 'patient', {
    onError,
    listens: true,
    name: `${prefix}:messages`,
  });
  // Each model adds its listeners to these two connections.
  redis.setMaxListeners(0);
  subscriber.setMaxListeners(0);
  // The models of a process are those of its start: each has a queue, a dispatcher and a BullMQ worker.
  const models = Object.keys(settings.models);
  const upstream = createUpstream({ ...options.upstream, models, windowScale });
  const prices = createPriceList(settings);
  const quotas = createQuotas(redis, prefix);
  const quotaSignals = createQuotaSignals(subscriber, onError);
  const tenantQuotas = createTenantQuotas(redis, prefix);
  const usage = createUsageStore(redis, prefix, models);
  usage.rememberModels().catch(onError);
  const tenantLimits = createTenantLimits({
    ...{ settings, tenantQuotas, prices, usage, now: () => serverTime(redis) },
    isSimulated: upstream.isSimulated,
  });
  const eventLogPace = createPace(LOG_BATCHES_PER_SECOND);
  const openAiEvents = options.upstream.webhooks
    ? listenForOpenAiEvents(redis, subscriber, prefix, onError)
    : undefined;
  const lostResponses = openAiEvents && createLostResponses(openAiEvents);
  // The shares are equal and fixed: BullMQ notices a raised limit only when a job ends, which may take an
  // hour.
  const slots = slotsFor(options.concurrency, models.length, descriptors);
  if (descriptors !== undefined && slots < options.concurrency)
    sayDescriptorsAreFew(logger, { slots, wanted: options.concurrency, descriptors });
  const concurrency = Math.max(1, Math.floor(slots / models.length));
  const metrics = createMetrics(concurrency * models.length, options.metrics);
  const logWeakAck = createWeakAckLog(ack, logger);
  const acknowledger = createAcknowledger({
    ...{ redisUrl, prefix, ack, onError },
    onWeak(reason) {
      logWeakAck(reason);
      metrics.weakAck();
    },
  });
  const queues = models.map((model) => createModelQueue(redis, prefix, model, settings, onError));
  const modelWorkers = queues.map((queue) =>
    createModelWorker({
      redis,
      subscriber,
      prefix,
      queue,
      settings,
      prices,
      quotas,
      quotaSignals,
      tenantQuotas,
      tenantLimits,
      upstream,
      openAiEvents,
      lostResponses,
      eventLogPace,
      acknowledger,
      metrics,
      concurrency,
      recovery,
      windowScale,
      logger,
      onError,
    }),
  );
  const workers: QueueWorker[] = [...modelWorkers];
  const heartbeat = startHeartbeat(modelWorkers, subscriber, onError);

  const webhooksOut =
    options.webhooksOut &&
    createWebhooksOut(options.webhooksOut, {
      redis,
      subscriber,
      prefix,
      settings,
      queues,
      recovery,
      metrics,
      logger,
      onError,
    });
  if (webhooksOut !== undefined) workers.push(webhooksOut.worker);

  const redisTrouble = createWriteProbe(redis, prefix);
  /** Without a time limit, the command to Redis and the caller would wait until Redis is back. */
  const whileReady = <Reading>(read: () => Promise<Reading>): (() => Promise<Reading | undefined>) => {
    const shared = cachedRead(() => read().catch(() => undefined), LOOK_FRESH_MS);
    return async () =>
      redis.status === 'ready' ? withTimeout(shared(), undefined, LOOK_TIMEOUT_MS) : undefined;
  };
  const look = whileReady(() => readModels(redis, prefix, queues));
  metrics.watch({
    models: look,
    memory: whileReady(() => readMemory(redis)),
    budgets: whileReady(() => tenantLimits.budgetsLeft()),
  });
  metrics.watchRedis(redisTrouble);
  const catalog = keepCatalog({ redis, prefix, queues, quotas, upstream, logger, onError });

  const retention = keepRetention({
    redis,
    queues,
    settings,
    deliveries: webhooksOut?.deliveries,
    logger,
    onError,
  });

  const history = keepHistory(redis, queues, onError);
  const deletions = { redis, upstream, metrics, logger };
  const estimates = { redis, prefix, upstream, prices };
  const actions = createActionRunner(
    {
      ...{ redis, prefix, models: settings },
      queues: new Map(queues.map((queue) => [queue.model, queue])),
      onCancelled: (model) =>
        modelWorkers[queues.findIndex((queue) => queue.model === model)]?.metrics.ended(CANCELLED, false),
    },
    { onError },
  );
  const stopDrains = keepDrained(
    subscriber,
    new Map([
      [actionKeysOf(prefix).open, actions.look],
      ...queues.flatMap((queue, i): [string, () => Promise<void>][] => {
        // Only responses that have cost something are estimated.
        const onSpent = (spent: UsageSpent): void => modelWorkers[i]?.metrics.spent(spent, false);
        return [
          [queue.keys.deletions, () => drainDeletions(queue, deletions)],
          [queue.keys.estimates, () => drainEstimates(queue, { ...estimates, onSpent })],
        ];
      }),
      // No message comes of such an end: the worker that would have sent it is dead.
      ...queues.map(({ keys }, i): [string, () => Promise<void>] => [
        keys.queue('failed'),
        async () => modelWorkers[i]?.recordEnds(),
      ]),
    ]),
    onError,
  );

  let left: Promise<unknown> | undefined;
  let heartbeatEnded: Promise<void> = Promise.resolve();
  const leave = (): Promise<unknown> => {
    retention.stop();
    catalog.stop();
    history.stop();
    stopDrains();
    actions.stop();
    if (left === undefined) heartbeatEnded = heartbeat.stop();
    left ??= leaveAll(workers, redisTrouble, logger);
    return left;
  };
  return {
    name: 'worker',
    alive: heartbeat.first,
    metrics,
    redisTrouble,
    async troubles() {
      const reading = await look();
      return reading === undefined ? [] : troublesIn(modelViewsFrom(reading));
    },
    useKey(apiKey) {
      upstream.useKey(apiKey);
      const names = new Set(queues.flatMap(({ upstreamModels }) => upstreamModels));
      for (const name of names) quotas.of(name).retryCredentials().catch(onError);
    },
    quiet() {
      leave().catch(onError);
    },
    drain: leave,
    release() {
      for (const worker of workers) worker.release();
    },
    async close() {
      await Promise.allSettled([leave()]);
      // A Redis that is away never answers this; the heartbeat then expires.
      if (redis.status === 'ready') await withTimeout(heartbeatEnded, undefined, LOOK_TIMEOUT_MS);
      await webhooksOut?.close();
      await Promise.allSettled(queues.map(({ bullmq }) => bullmq.close()));
      acknowledger.close();
      disconnectRedis(subscriber);
      disconnectRedis(redis);
      await upstream.close();
    },
  };
}
