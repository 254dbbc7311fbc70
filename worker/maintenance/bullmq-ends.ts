import { discountOf } from '../../src/job/completion-window.ts';
import { findUnrecordedEnds } from '../../src/lua/run.ts';
import { bullmqError, failedChildKey } from '../../src/model-queue/bullmq-failure.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { Logger } from '../../src/process/log.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { PriceList } from '../../src/usage/price.ts';
import { estimateOf, estimateOfCreate } from '../attempt/purchase/spent.ts';
import type { Upstream } from '../upstream/client.ts';

/** Job is a job of BullMQ. */
type Job = NonNullable<Awaited<ReturnType<ModelQueue['bullmq']['getJob']>>>;

import type { Models } from '../../src/config/file.ts';

/**
 * BullmqEnds records the failures that are BullMQ's own: the job was recovered too often, its child with
 * `failParentOnFailure` failed, or our own code broke.
 */
export interface BullmqEnds {
  /** Records why BullMQ has failed a job. An end that is recorded twice is recorded once. */
  record(job: Job, error: Error): Promise<void>;
  /**
   * Records each failure that a worker left unrecorded because it died right after BullMQ had failed the job.
   * The first call looks at half of the time for which failed jobs are kept: later a record may have expired.
   */
  recordAll(): Promise<void>;
}

export interface BullmqEndsOptions {
  redis: RedisClient;
  queue: ModelQueue;
  upstream: Pick<Upstream, 'isSimulated'>;
  prices: PriceList;
  settings: Pick<Models, 'retention'>;
  writerOf: (job: Job, lockToken: string) => RunRecordWriter;
  logger: Logger;
}

/** How many characters of a child's reason the failure of its parent quotes. */
const LONGEST_CHILD_REASON = 1000;
/** How many failed jobs one script looks at, which keeps Redis busy for less than a millisecond. */
const AT_ONCE = 200;
/** In this time, in milliseconds, a worker that lives records the end itself. */
const OWN_MS = 500;
/** How far the clocks of workers may differ, in milliseconds: BullMQ dates an end by its worker's clock. */
const SKEW_MS = 60_000;
const HOUR_MS = 3_600_000;

export function createBullmqEnds(options: BullmqEndsOptions): BullmqEnds {
  const { redis, queue, upstream, prices, settings, writerOf, logger } = options;
  const { keys } = queue;
  let lookedUntil: number | undefined;

  /**
   * The worker that followed the response is gone. A response that was running was bought, so its estimated
   * usage is booked. So is that of a create whose outcome is unknown.
   */
  const record = async (job: Job, { message }: Error): Promise<void> => {
    const writer = writerOf(job, '');
    const { reservedModel: upstreamModel = queue.config.upstream, upstreamId, ...run } = await writer.read();
    const discount = discountOf(run.completionWindow, queue.config.completionWindows);
    const known = { ...run, data: job.data, upstreamModel, prices, discount };
    const isUncertain = run.purchaseMark !== undefined && !upstream.isSimulated();
    const estimate =
      upstreamId === undefined ? estimateOfCreate(known) : estimateOf(known, { id: upstreamId });
    const spent = { responseId: undefined, usage: null, cost: null, estimate };
    const childKey = failedChildKey(message);
    // The child may be in a queue that is not ours, whose keys this worker may not read.
    const childReason = childKey && (await redis.hget(childKey, 'failedReason').catch(() => null));
    await writer.finish({
      status: 'failed',
      error: bullmqError(message, childReason?.slice(0, LONGEST_CHILD_REASON)),
      spent: upstreamId === undefined && !isUncertain ? null : spent,
    });
  };

  return {
    record,
    async recordAll() {
      const endedUntil = serverTime(redis) - OWN_MS;
      const endedFrom =
        lookedUntil === undefined
          ? endedUntil - (settings.retention.failedHours * HOUR_MS) / 2
          : lookedUntil - SKEW_MS;
      for (let offset = 0; ; offset += AT_ONCE) {
        const [found, ...ids] = (await findUnrecordedEnds.run(redis, {
          keys: { ...keys.scriptKeys, failed: keys.queue('failed') },
          args: { endedFrom, endedUntil, offset, most: AT_ONCE, runPrefix: keys.run('') },
        })) as [number, ...string[]];
        for (const id of ids) {
          const job = await queue.bullmq.getJob(id);
          if (job?.finishedOn === undefined) continue;
          await record(job, new Error(job.failedReason));
          logger.info({ job: id }, 'recorded a failure that only BullMQ knew');
        }
        if (found < AT_ONCE) break;
      }
      lookedUntil = endedUntil;
    },
  };
}
