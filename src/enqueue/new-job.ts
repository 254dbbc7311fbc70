import { v7 as uuid } from 'uuid';
import { refusalOf, shown } from '../errors/input.ts';
import { QueueError } from '../errors/problem.ts';
import { DISPATCHER_LOOKS_EVERY_MS } from '../fair-queue/fair-queue.ts';
import { parkedDelayMs } from '../fair-queue/parked.ts';
import {
  type JobData,
  type JobRequest,
  jobDataFrom,
  parseJobRequest,
  questionPreview,
  requestedModel,
  responsesBodyFrom,
} from '../job/request.ts';
import type { OurOptions } from '../job/stored-options.ts';
import { needOf } from '../job/token-estimate.ts';
import type { JobView } from '../job/view.ts';
import { webhookUrlFlaw } from '../job/webhook-url.ts';
import { viewFrom } from '../model-queue/job-view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { runRecordFrom } from '../run/record.ts';

/** A checked request on its way into Redis. */
export interface NewJob {
  queue: ModelQueue;
  id: string;
  createdAt: number;
  /** How long it is to wait before it may stand in the line, in milliseconds. */
  delayMs: number;
  /** What the board shows: the beginning of the question. */
  name: string;
  data: JobData;
  options: OurOptions;
}

export interface NewJobOptions {
  queues: ReadonlyMap<string, ModelQueue>;
  defaultModel: string;
  streamByDefault: boolean;
  /** undefined: nobody's. */
  tenant: string | undefined;
  webhooks: WebhookRules;
  /** Of a job with an idempotency key. Default: an id of its own. */
  keyed?: { id: string } & NonNullable<OurOptions['idempotency']>;
}

export interface WebhookRules {
  /** Whether somebody delivers them. */
  delivered: boolean;
  allowPrivate: boolean;
}

/** @throws {QueueError} `invalid_request` or `unknown_model`. */
export function newJobFrom(
  input: unknown,
  { queues, defaultModel, streamByDefault, tenant, webhooks, keyed }: NewJobOptions,
): NewJob {
  const request = parseJobRequest(input);
  const model = requestedModel(request) ?? defaultModel;
  const queue = queues.get(model);
  if (queue === undefined) {
    const message = `expected one of ${[...queues.keys()].join(', ')}, got ${shown(model)}`;
    throw new QueueError(
      'unknown_model',
      `The model was refused: ${message}. Models are configured in o3q.config.json`,
      { flaws: [{ path: 'model', message }] },
    );
  }
  const createdAt = Date.now();
  checkDeadline(request, createdAt);
  checkWebhook(request, webhooks);
  const id = keyed?.id ?? `job_${uuid().replaceAll('-', '')}`;
  const data = jobDataFrom(request, streamByDefault);
  const { delay_ms: delayMs = 0 } = request;
  const options: OurOptions = {
    jobId: id,
    timestamp: createdAt,
    attempts: request.max_attempts ?? queue.config.maxAttempts,
    ...(request.priority !== undefined && { priority: request.priority }),
    delay: parkedDelayMs(createdAt, delayMs > 0 ? 'delayed' : 'waiting'),
    need: needOf(responsesBodyFrom(data, queue.config.upstream)),
    ...(tenant !== undefined && { group: { id: tenant } }),
    ...(request.webhook_url !== undefined && { webhook: request.webhook_url }),
    ...(keyed !== undefined && { idempotency: { fingerprint: keyed.fingerprint, call: keyed.call } }),
  };
  return {
    queue,
    id,
    createdAt,
    delayMs,
    name: questionPreview(request),
    data,
    options,
  };
}

/** @throws {QueueError} `invalid_request`, for a job that could never begin in time. */
function checkDeadline({ deadline, delay_ms = 0 }: JobRequest, now: number): void {
  if (deadline === undefined || Date.parse(deadline) > now + delay_ms) return;
  const when = delay_ms > 0 ? 'a time after delay_ms has passed' : 'a time in the future';
  throw refusalOf('request', [{ path: 'deadline', message: `expected ${when}, got ${shown(deadline)}` }]);
}

/** @throws {QueueError} `invalid_request`, for a webhook that would never be delivered. */
function checkWebhook({ webhook_url: url }: JobRequest, { delivered, allowPrivate }: WebhookRules): void {
  if (url === undefined) return;
  const message = delivered
    ? webhookUrlFlaw(url, allowPrivate)
    : 'expected nothing, since no webhooks are sent before O3Q_WEBHOOK_SECRET is set on producers and workers, got a URL';
  if (message !== undefined) throw refusalOf('request', [{ path: 'webhook_url', message }]);
}

/**
 * Stores jobs of one queue and one tenant. The indexes are written first: a crash in between leaves an entry without a job, which lists
 * pass over and in time drop, and never a job that no list shows.
 */
export async function storeJobs(
  redis: RedisClient,
  queue: ModelQueue,
  jobs: readonly NewJob[],
): Promise<void> {
  const { keys } = queue;
  const entries = jobs.flatMap(({ createdAt, id }) => [createdAt, id]);
  const tenant = jobs[0]?.options.group?.id;
  await Promise.all([
    redis.zadd(keys.index('all'), ...entries),
    redis.zadd(keys.index('live'), ...entries),
    ...(tenant === undefined
      ? []
      : [redis.sadd(keys.tenants, tenant), redis.zadd(keys.tenantIndex(tenant), ...entries)]),
    addToBullmq(queue, jobs),
  ]);
}

/**
 * addToBullmq adds jobs to the fair queue, then to BullMQ. The fair queue is first because Redis may accept the one and refuse the
 * other: an entry without a job is passed over, while a job without an entry would wait for ever. Both leave a job as it is
 * whose id is taken.
 */
export async function addToBullmq({ bullmq, fairQueue }: ModelQueue, jobs: readonly NewJob[]): Promise<void> {
  const [job] = jobs;
  await fairQueue.add(
    jobs.map(({ id, createdAt, delayMs, data, options }) => ({
      id,
      createdAt,
      tenant: options.group?.id ?? '',
      priority: options.priority ?? 0,
      deadlineAt: data.deadline === undefined ? undefined : Date.parse(data.deadline),
      dueAt: delayMs > 0 ? createdAt + delayMs : undefined,
    })),
  );
  if (jobs.length === 1 && job !== undefined) await bullmq.add(job.name, job.data, job.options);
  else await bullmq.addBulk(jobs.map(({ name, data, options }) => ({ name, data, opts: options })));
  // Not awaited: dispatchers look at the queue every second anyway.
  if (jobs.some(({ delayMs }) => delayMs < DISPATCHER_LOOKS_EVERY_MS)) fairQueue.announce().catch(() => {});
}

/** The view of a job that was stored this instant, without asking Redis for what we just told it. */
export function viewOfNewJob({ queue, id, createdAt, delayMs, name, options }: NewJob): JobView {
  return viewFrom({
    id,
    model: queue.model,
    tenant: options.group?.id ?? null,
    maxAttempts: options.attempts ?? queue.config.maxAttempts,
    name,
    createdAt,
    finishedAt: undefined,
    failedReason: '',
    returnValue: null,
    state: delayMs > 0 ? 'delayed' : 'waiting',
    open: true,
    dueAt: createdAt + delayMs,
    paused: false,
    place: undefined,
    maxInFlight: undefined,
    run: runRecordFrom([]),
    now: createdAt,
  });
}
