import { type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { ModelConfig } from '../src/config/file.ts';
import type { GiveBackTarget, QueuedJob } from '../src/fair-queue/fair-queue.ts';
import { discountOf } from '../src/job/completion-window.ts';
import { optionsFrom } from '../src/job/stored-options.ts';
import { bullmqError, failedChildKey } from '../src/model-queue/bullmq-failure.ts';
import type { RedisClient } from '../src/redis/connection.ts';
import type { RunRecordWriter } from '../src/run/writer.ts';
import type { PriceList } from '../src/usage/price.ts';
import type { Outcome } from './attempt/outcome.ts';
import { estimateOf, estimateOfCreate } from './attempt/purchase.ts';

/** tenantOf returns the tenant of a job; '' for none. */
export function tenantOf(job: Job): string {
  return optionsFrom(job.opts).group?.id ?? '';
}

/**
 * attemptsOf returns how many attempts a job may have. When a job sets no number, BullMQ writes 0, and the
 * model's number applies.
 */
export function attemptsOf(job: Job, config: ModelConfig): number {
  return job.opts.attempts || config.maxAttempts;
}

/** RecordedEnd makes BullMQ fail a job whose end is already in the run record. */
export class RecordedEnd extends UnrecoverableError {}

/** queuedJobOf returns a job in the form that the fair queue takes. */
export function queuedJobOf(job: Job): QueuedJob {
  return {
    id: job.id ?? '',
    tenant: tenantOf(job),
    createdAt: job.timestamp,
    priority: job.opts.priority ?? 0,
    deadlineAt: Date.parse(job.data?.deadline) || undefined,
  };
}

/**
 * giveBackTarget returns where a job goes after an attempt with this outcome; undefined: the job is not given
 * back.
 * @param now the time of Redis, in Unix milliseconds.
 */
export function giveBackTarget(outcome: Outcome, now: number): GiveBackTarget | undefined {
  switch (outcome.kind) {
    case 'released':
      return { kind: 'first' };
    case 'postponed':
      return { kind: 'fair-queue' };
    case 'retry':
    case 'held':
      return {
        kind: outcome.kind === 'held' ? 'held' : 'delayed',
        dueAt: now + Math.round(outcome.delayMs),
        failedReason: outcome.failure.message,
      };
    default:
      return undefined;
  }
}

/** settle reports an outcome to BullMQ: it returns or throws what a BullMQ processor would. */
export function settle(outcome: Outcome): unknown {
  switch (outcome.kind) {
    case 'completed':
      return outcome.summary;
    case 'failed':
      throw new RecordedEnd(`${outcome.code}: ${outcome.message}`);
    case 'cancelled':
      throw new RecordedEnd('cancelled: on request');
    case 'retry':
    case 'held':
    case 'released':
    case 'postponed':
    case 'lost':
      // BullMQ takes this error as a sign that the job has already been moved.
      throw new WaitingError();
    default: {
      const never: never = outcome;
      throw new Error(`unknown outcome ${JSON.stringify(never)}`);
    }
  }
}

/** How many characters of a child's reason the failure of its parent quotes. */
const LONGEST_CHILD_REASON = 1000;

/**
 * writeEndOfBullmq writes into the record of a run that BullMQ has failed its job by itself: the job was
 * recovered too often, its child with `failParentOnFailure` failed, or our own code broke. The worker that
 * followed the response is gone. A response that was running was bought, so its estimated usage is booked. So
 * is that of a create whose outcome is unknown.
 */
export async function writeEndOfBullmq(
  { message }: Error,
  { data }: Job,
  {
    redis,
    config,
    writer,
    prices,
    isSimulated,
  }: {
    redis: RedisClient;
    config: ModelConfig;
    writer: RunRecordWriter;
    prices: PriceList;
    isSimulated: boolean;
  },
): Promise<void> {
  const { reservedModel: upstreamModel = config.upstream, upstreamId, ...record } = await writer.read();
  const discount = discountOf(record.completionWindow, config.completionWindows);
  const known = { ...record, data, upstreamModel, prices, discount };
  const isUncertain = record.purchaseMark !== undefined && !isSimulated;
  const estimate = upstreamId === undefined ? estimateOfCreate(known) : estimateOf(known, { id: upstreamId });
  const spent = { responseId: undefined, usage: null, cost: null, estimate };
  const childKey = failedChildKey(message);
  // The child may be in a queue that is not ours, whose keys this worker may not read.
  const childReason = childKey && (await redis.hget(childKey, 'failedReason').catch(() => null));
  await writer.finish({
    status: 'failed',
    error: bullmqError(message, childReason?.slice(0, LONGEST_CHILD_REASON)),
    spent: upstreamId === undefined && !isUncertain ? null : spent,
  });
}
