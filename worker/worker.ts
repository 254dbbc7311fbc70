import type { Models } from '../src/config-file.ts';
import type { Logger } from '../src/log.ts';
import { oncePerSecond } from '../src/once-per-second.ts';
import { createModelQueue } from '../src/queue/model-queue.ts';
import { connectRedis, disconnectRedis } from '../src/redis/connection.ts';
import type { Stoppable } from '../src/shutdown.ts';
import { depart } from './departure.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createModelWorker, type Recovery } from './model-worker.ts';
import { createOrphans } from './orphans.ts';
import { createPace } from './pace.ts';
import { sweepRetention } from './retention-sweep.ts';
import { createUpstream, type UpstreamOptions } from './upstream.ts';
import { listenForNews } from './upstream-news.ts';
import { createWebhooksOut, type WebhooksOutOptions } from './webhooks-out.ts';

export interface WorkerOptions extends Models {
  redisUrl: string;
  prefix: string;
  /** Jobs held at once, in even shares for the models, at least one each. */
  concurrency: number;
  upstream: UpstreamOptions & {
    /** It sends webhooks, and the producers take them. Default false. */
    webhooks?: boolean;
  };
  /** undefined: this worker delivers no webhooks to callers. */
  webhooksOut?: WebhooksOutOptions | undefined;
  logger: Logger;
  /** Default: a lock of 12 s, looked after every 3 s, so that a dead worker's jobs go on within 20 s. */
  recovery?: Recovery;
}

const DEFAULT_RECOVERY: Recovery = { lockMs: 12_000, stalledMs: 3000 };
const SWEEP_EVERY_MS = 600_000;
/** Of this process: with more than 200 answers being streamed at once, each is written down less often. */
const JOURNAL_ENTRIES_PER_SECOND = 2000;

export interface O3Worker extends Stoppable {
  /** Whether Redis can be used right now. */
  isReady(): boolean;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
}

/** Takes jobs of every configured model, from now on. */
export function createWorker(options: WorkerOptions): O3Worker {
  const { redisUrl, prefix, recovery = DEFAULT_RECOVERY, logger } = options;
  const onError = oncePerSecond((error) => logger.error({ error: error.message }, 'queue error'));
  const redis = connectRedis(redisUrl, 'patient', { onError, name: `${prefix}:worker` });
  const subscriber = connectRedis(redisUrl, 'patient', { onError, name: `${prefix}:cancels` });
  // Each model listens on these.
  redis.setMaxListeners(0);
  subscriber.setMaxListeners(0);
  const upstream = createUpstream(options.upstream);
  const metrics = createMetrics();
  const journalPace = createPace(JOURNAL_ENTRIES_PER_SECOND);
  const news = options.upstream.webhooks ? listenForNews(redis, subscriber, prefix, onError) : undefined;
  const webhooks = news && { news, orphans: createOrphans(news, upstream) };
  // Even shares, fixed: BullMQ notices a raised limit only when a job ends, which may be an hour away.
  const concurrency = Math.max(1, Math.floor(options.concurrency / Object.keys(options.models).length));
  const queues = Object.entries(options.models).map(([model, config]) =>
    createModelQueue(redis, prefix, model, config, onError),
  );
  const workers = queues.map((queue) =>
    createModelWorker({
      redis,
      subscriber,
      prefix,
      queue,
      retention: options.retention,
      upstream,
      webhooks,
      journalPace,
      metrics,
      concurrency,
      recovery,
      logger,
      onError,
    }),
  );

  const webhooksOut =
    options.webhooksOut &&
    createWebhooksOut(options.webhooksOut, {
      ...{ redis, subscriber, prefix, queues, recovery, metrics, logger, onError },
      retention: options.retention,
      allowPrivateWebhooks: options.allowPrivateWebhooks,
    });
  if (webhooksOut !== undefined) workers.push(webhooksOut.worker);

  const sweep = (): void => {
    webhooksOut?.sweep().catch(onError);
    for (const queue of queues) {
      sweepRetention(redis, queue, options.retention).then(
        (forgotten) =>
          forgotten > 0 &&
          logger.info({ model: queue.model, jobs: forgotten }, 'forgotten: their retention is over'),
        onError,
      );
    }
  };
  sweep();
  const sweeping = setInterval(sweep, SWEEP_EVERY_MS);

  let left: Promise<unknown> | undefined;
  const leave = (): Promise<unknown> => {
    clearInterval(sweeping);
    left ??= depart(workers, redis, logger);
    return left;
  };
  return {
    name: 'worker',
    metrics,
    isReady: () => redis.status === 'ready',
    quiet() {
      leave().catch(onError);
    },
    drain: leave,
    release() {
      for (const worker of workers) worker.release();
    },
    async close() {
      await Promise.allSettled([leave()]);
      await webhooksOut?.close();
      await Promise.allSettled(queues.map(({ bullmq }) => bullmq.close()));
      disconnectRedis(subscriber);
      disconnectRedis(redis);
      await upstream.close();
    },
  };
}
