import { inBatches } from '../async/batches.ts';
import { QueueError } from '../errors/problem.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import type { NamedUpstreamIds } from '../job/ids/named-responses.ts';
import { type BulkRequest, type ParsedRequest, parseJobRequest } from '../job/request.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { storedJob } from '../redis/ack/acknowledgement.ts';
import type { Ack } from '../redis/ack/level.ts';
import { knowServerTime, serverTime } from '../redis/server-time.ts';
import { type SendSpan, startSend } from '../tracing/send.ts';
import { formatUsd, NANO_PER_DOLLAR } from '../usage/usd.ts';
import { nextUtcDay } from '../usage/utc-day.ts';
import { jobKeyOf } from './idempotency.ts';
import { newJobFrom, type WrittenJob, writtenJob } from './new-job.ts';
import { type EnqueueOutcome, type RequestedJob, storeJobs } from './store-jobs.ts';

const MOST_IN_BULK = 1000;
/**
 * How many calls of one turn of the event loop share a script. Sixteen take a third less of Redis' time for
 * each job. Of more, Redis does nothing while the producer reads them, and the producer nothing while Redis
 * stores them (docs/BENCHMARKS.md has the figures).
 */
const CALLS_AT_ONCE = 16;

/** AcknowledgedOutcome is the outcome of one request, with what Redis has done with its job. */
export type AcknowledgedOutcome =
  | (Extract<EnqueueOutcome, { ok: true }> & { readonly ack: Ack })
  | Extract<EnqueueOutcome, { ok: false }>;

/** Intake turns the requests of one tenant into jobs. */
export interface Intake {
  /**
   * @param idempotencyKey undefined: each call creates a new job.
   * @param trace the span of the caller, if the call names one.
   */
  enqueue(
    request: ParsedRequest,
    idempotencyKey: string | undefined,
    trace: TraceContext | undefined,
  ): Promise<AcknowledgedOutcome>;
  /** Enqueues up to 1,000 requests as callers sent them. An invalid request does not affect the others. */
  enqueueBulk(
    requests: readonly BulkRequest[],
    trace: TraceContext | undefined,
  ): Promise<AcknowledgedOutcome[]>;
}

/**
 * @param tenant the owner of the jobs; `NO_TENANT` for none.
 * @param idsOf finds the upstream's ids of the responses that a body names, or throws a refusal.
 */
export function createIntake(
  access: QueueAccess,
  tenant: string,
  idsOf: (body: Record<string, unknown>) => Promise<NamedUpstreamIds>,
): Intake {
  /** @throws {QueueError} when the request names a response that the caller may not name. */
  const withIds = async (request: ParsedRequest): Promise<ParsedRequest> =>
    'request' in request ? Object.assign(request, await idsOf(request.request)) : request;

  /**
   * @throws {QueueError} for a bad idempotency key. Any other flaw is not thrown: the returned `job` is then
   * the QueueError.
   */
  const requested = async (
    request: ParsedRequest,
    idempotencyKey: unknown,
    { streamByDefault, trace }: { streamByDefault: boolean; trace: TraceContext | undefined },
  ): Promise<RequestedJob> => {
    const key = idempotencyKey === undefined ? undefined : jobKeyOf(tenant, idempotencyKey, request);
    let span: SendSpan | undefined;
    const make = (): Promise<WrittenJob> => {
      const job = newJobFrom(request, access, { streamByDefault, tenant, key });
      span = startSend(job.queue.model, job.id, trace);
      if (span.stored !== undefined) job.options.trace = span.stored;
      return writtenJob(job);
    };
    const job = await orRefusal(make);
    return { key, job, span };
  };

  /**
   * Stores the jobs, unless Redis is nearly full or the tenant's budget is used up: then it stores nothing,
   * and only finds the existing jobs of idempotency keys.
   *
   * A crash between storing and the wait for `O3Q_ACK` leaves a stored job whose caller got no answer. A
   * repeat with its key finds the job, and waits for it anew.
   */
  const store = async (
    jobs: readonly RequestedJob[],
  ): Promise<PromiseSettledResult<AcknowledgedOutcome>[]> => {
    const storing = access.guard(async () => {
      const refusal = (await memoryRefusal(access)) ?? (await budgetRefusal(access, tenant));
      return storeJobs(access, refusal === undefined ? jobs : jobs.map(({ key }) => ({ key, job: refusal })));
    });
    const outcomes = await endSpans(jobs, storing);
    return Promise.all(outcomes.map((outcome) => acknowledged(access, outcome)));
  };
  const storeTogether = inBatches(store, CALLS_AT_ONCE);

  return {
    async enqueue(request, idempotencyKey, trace) {
      const whole = await withIds(request);
      await knowServerTime(access.redis);
      const job = await requested(whole, idempotencyKey, { streamByDefault: true, trace });
      return isHopeless(job) ? { ok: false, error: job.job } : storeTogether(job);
    },

    async enqueueBulk(requests, trace) {
      if (requests.length > MOST_IN_BULK) {
        throw new QueueError(
          'invalid_request',
          `A bulk was expected to hold at most ${MOST_IN_BULK} requests, got ${requests.length}`,
        );
      }
      await knowServerTime(access.redis);
      const jobs = await Promise.all(
        requests.map((input) => {
          const [sent, idempotencyKey] = splitKey(input);
          return orRefusal(async () =>
            requested(await withIds(parseJobRequest(sent)), idempotencyKey, {
              streamByDefault: false,
              trace,
            }),
          );
        }),
      );
      const outcomes = (
        await store(jobs.flatMap((job) => (job instanceof QueueError ? [] : [job])))
      ).values();
      return jobs.map((job): AcknowledgedOutcome => {
        if (job instanceof QueueError) return { ok: false, error: job };
        const { value: outcome } = outcomes.next();
        if (outcome === undefined) throw new Error('expected an outcome for each job');
        if (outcome.status === 'rejected') throw outcome.reason;
        return outcome.value;
      });
    },
  };
}

/** Ends the spans of jobs with their outcomes. */
async function endSpans(
  jobs: readonly RequestedJob[],
  storing: Promise<PromiseSettledResult<EnqueueOutcome>[]>,
): Promise<PromiseSettledResult<EnqueueOutcome>[]> {
  const code = (error: unknown): string => (error instanceof QueueError ? error.code : 'internal_error');
  try {
    const outcomes = await storing;
    for (const [i, { span }] of jobs.entries()) {
      const outcome = outcomes[i];
      if (outcome?.status === 'fulfilled') span?.end(outcome.value.ok ? undefined : outcome.value.error.code);
      else span?.end(code(outcome?.reason));
    }
    return outcomes;
  } catch (error: unknown) {
    for (const { span } of jobs) span?.end(code(error));
    throw error;
  }
}

/**
 * acknowledged waits until the job of an outcome is as safe as `O3Q_ACK` asks for. The job of a repeated
 * request is confirmed like a new one, so the answer says what holds now.
 */
async function acknowledged(
  { acknowledger, queues }: QueueAccess,
  settled: PromiseSettledResult<EnqueueOutcome>,
): Promise<PromiseSettledResult<AcknowledgedOutcome>> {
  if (settled.status === 'rejected' || !settled.value.ok) return settled as PromiseSettledResult<never>;
  const { job } = settled.value;
  const queue = queues.get(job.model);
  const ack = queue === undefined ? 'memory' : await acknowledger.reached(storedJob(queue.keys, job.id));
  return { status: 'fulfilled', value: { ...settled.value, ack } };
}

/**
 * isHopeless is true for a refused request without an idempotency key: Redis cannot have a job for such a
 * request.
 */
function isHopeless(requested: RequestedJob): requested is RequestedJob & { job: QueueError } {
  return requested.job instanceof QueueError && requested.key === undefined;
}

/**
 * Separates the idempotency key from a request of a bulk, which may be anything. The returned key is
 * undefined if the request has none; null is an invalid key.
 */
function splitKey(input: unknown): [request: unknown, idempotencyKey: unknown] {
  if (typeof input !== 'object' || input === null || !Object.hasOwn(input, 'idempotency_key')) {
    return [input, undefined];
  }
  const { idempotency_key: idempotencyKey, ...request } = input as BulkRequest;
  return [request, idempotencyKey];
}

async function orRefusal<Value>(make: () => Promise<Value>): Promise<Value | QueueError> {
  try {
    return await make();
  } catch (error: unknown) {
    if (error instanceof QueueError) return error;
    throw error;
  }
}

/**
 * The share of Redis' memory up to which new jobs are accepted. The rest is for the answers of accepted jobs.
 */
const MOST_MEMORY = 0.9;
/** When to try again, in milliseconds: retention, or an operator, may have made room by then. */
const MEMORY_RETRY_MS = 10_000;

/**
 * memoryRefusal returns the refusal of a new job while Redis is nearly full; undefined otherwise. When Redis
 * is full, memoryRefusal returns undefined too, because Redis then refuses the writes itself.
 */
async function memoryRefusal({ memory }: QueueAccess): Promise<QueueError | undefined> {
  const use = await memory();
  if (use === undefined || use.used < use.most * MOST_MEMORY || use.used > use.most) return undefined;
  const inMb = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MB`;
  return new QueueError(
    'storage_full',
    `Redis has used ${inMb(use.used)} of its ${inMb(use.most)} of memory. What is left is for jobs that were ` +
      'accepted before, so no new job is accepted. Give Redis more memory (maxmemory), or delete jobs',
    { retryAfterMs: MEMORY_RETRY_MS },
  );
}

/**
 * budgetRefusal returns the refusal for a tenant whose daily budget is used up and whose `onBudgetExhausted`
 * is `refuse`; undefined otherwise. Reservations of running jobs do not count here: a job whose cost does not
 * fit beside these reservations is accepted, and waits.
 */
async function budgetRefusal(access: QueueAccess, tenant: string): Promise<QueueError | undefined> {
  const { tenants } = access.models;
  if (!Object.hasOwn(tenants, tenant) || tenants[tenant]?.onBudgetExhausted !== 'refuse') return undefined;
  return exhaustedBudget(access, tenant);
}

/**
 * assertWithinBudget checks what a tenant has spent today, for a call that cannot wait.
 * @throws {QueueError} `budget_exhausted`, also for a tenant whose jobs would wait until midnight.
 */
export async function assertWithinBudget(access: QueueAccess, tenant: string): Promise<void> {
  const refusal = await exhaustedBudget(access, tenant);
  if (refusal !== undefined) throw refusal;
}

async function exhaustedBudget(
  { models: { tenants }, usage, redis }: QueueAccess,
  tenant: string,
): Promise<QueueError | undefined> {
  const dailyBudgetUsd = Object.hasOwn(tenants, tenant) ? tenants[tenant]?.dailyBudgetUsd : undefined;
  if (dailyBudgetUsd === undefined) return undefined;
  const spent = await usage.spentToday(tenant);
  if (spent < dailyBudgetUsd * NANO_PER_DOLLAR) return undefined;
  const now = serverTime(redis);
  const [budgetText, spentText] = [formatUsd(dailyBudgetUsd), formatUsd(spent / NANO_PER_DOLLAR)];
  return new QueueError(
    'budget_exhausted',
    `The daily budget of ${tenant} (${budgetText}) is used up until midnight UTC: ${spentText} is spent. ` +
      'Retry tomorrow, or raise dailyBudgetUsd in o3q.config.json',
    { retryAfterMs: nextUtcDay(now) - now },
  );
}
