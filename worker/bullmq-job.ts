import { type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { ModelConfig, Models } from '../src/config/file.ts';
import type { GiveBackTarget, QueuedJob } from '../src/fair-queue/fair-queue.ts';
import { publicId } from '../src/job/ids/response-id.ts';
import { optionsFrom } from '../src/job/stored-options.ts';
import { AttemptTrace } from '../src/tracing/attempt-trace.ts';
import type { Outcome } from './attempt/outcome.ts';

/** tenantOf returns the tenant of a job; '' for none. */
export function tenantOf(job: Job): string {
  return optionsFrom(job.opts).group?.id ?? '';
}

/**
 * limitAttempts returns how many attempts a job may have, and tells BullMQ. When a job sets no number, BullMQ
 * writes 0, and the model's number applies.
 *
 * BullMQ itself retries only after an unexpected error of ours. It knows no jitter and no Retry-After, so its
 * wait is the shortest backoff. Only this process sees the two values; Redis keeps what the producer wrote.
 */
export function limitAttempts(job: Job, config: ModelConfig): number {
  const most = job.opts.attempts || config.maxAttempts;
  job.opts.attempts = most;
  job.opts.backoff = { type: 'fixed', delay: config.backoff.baseMs };
  return most;
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

/**
 * startTrace starts the span of an attempt at a job.
 * @param now the time of Redis, in Unix milliseconds.
 */
export function startTrace(
  job: Job,
  { queue: { model }, tenants }: { queue: { model: string }; tenants: Models['tenants'] },
  now: number,
): AttemptTrace {
  const { group, trace: sent } = optionsFrom(job.opts);
  return new AttemptTrace({
    ...{ id: publicId(model, job.id ?? ''), model, sent },
    // Anything may stand in the options of a job. The tenants of the configuration are few.
    tenant: group !== undefined && Object.hasOwn(tenants, group.id) ? group.id : undefined,
    waitMs: Math.max(0, now - job.timestamp),
  });
}
