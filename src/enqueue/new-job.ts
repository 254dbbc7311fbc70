import { v7 as uuid } from 'uuid';
import { refusalOf, shown } from '../errors/input.ts';
import { QueueError } from '../errors/problem.ts';
import { NO_HINDRANCE } from '../fair-queue/eta.ts';
import { parkedDelayMs } from '../fair-queue/parked.ts';
import type { StoredText } from '../job/fields/compression.ts';
import { termsOf } from '../job/fields/metadata.ts';
import { webhookUrlFlaw } from '../job/fields/webhook-url.ts';
import { continuationOf } from '../job/ids/named-responses.ts';
import {
  type JobData,
  jobDataFrom,
  type ParsedRequest,
  requestedModel,
  responsesBodyFrom,
} from '../job/request.ts';
import type { OurOptions } from '../job/stored-options.ts';
import { needOf } from '../job/stored-options.ts';
import { NO_TENANT, tenantInView } from '../job/tenant.ts';
import type { JobView } from '../job/view.ts';
import { viewFrom } from '../model-queue/job-view.ts';
import { LARGE_BYTES } from '../model-queue/large-connection.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { type QueueAccess, queueNamed } from '../model-queue/queue-access.ts';
import type { ScriptValue } from '../redis/script.ts';
import { serverTime } from '../redis/server-time.ts';
import { questionPreview } from '../responses/question.ts';
import { runRecordFrom } from '../run/record.ts';
import type { JobKey } from './idempotency.ts';

/** NewJob is a job that is about to be stored. */
export interface NewJob {
  queue: ModelQueue;
  id: string;
  key: JobKey | undefined;
  /** When the job was created, in Unix milliseconds. */
  createdAt: number;
  /** How long the job waits before it may enter the fair queue, in milliseconds. */
  delayMs: number;
  /** The name on the board: the beginning of the question. */
  name: string;
  data: JobData;
  options: OurOptions;
}

/** WrittenJob is a new job with its data as it is stored. */
export interface WrittenJob extends NewJob {
  /** JSON. That of `LARGE_BYTES` is bytes, which the client of Redis does not copy. */
  json: StoredText;
}

export interface NewJobOptions {
  /** Whether the answer is streamed when the request does not specify it. */
  streamByDefault: boolean;
  /** The owner of the job; `NO_TENANT` for none. */
  tenant: string;
  /** undefined: the request has no idempotency key, and the job gets a random id. */
  key: JobKey | undefined;
}

/**
 * newJobFrom makes a job from a request, without storing it.
 * @throws {QueueError} `invalid_request` or `unknown_model`, for a job that could never run.
 */
export function newJobFrom(
  request: ParsedRequest,
  { queues, models, webhooksOut, redis }: QueueAccess,
  { streamByDefault, tenant, key }: NewJobOptions,
): NewJob {
  const queue = queueFor(requestedModel(request), { queues, models });
  const createdAt = serverTime(redis);
  checkDeadline(request, createdAt);
  checkWebhook(request, webhooksOut, models.allowPrivateWebhooks);
  const id = key?.id ?? `job_${uuid().replaceAll('-', '')}`;
  const asked = jobDataFrom(request, streamByDefault);
  const { delay_ms: delayMs = 0 } = request;
  const body = responsesBodyFrom(asked, queue.config.upstream);
  const metadata = metadataOf(asked);
  const need = needOf(body, asked.needed_by);
  const mayHaveWindow = need.by !== undefined || need.window !== undefined;
  const continuation = request.continuation ?? (mayHaveWindow ? continuationOf(id, undefined) : undefined);
  const data = continuation === undefined ? asked : { ...asked, continuation };
  const options: OurOptions = {
    jobId: id,
    timestamp: createdAt,
    attempts: request.max_attempts ?? queue.config.maxAttempts,
    ...(request.priority !== undefined && { priority: request.priority }),
    delay: parkedDelayMs(createdAt, delayMs > 0 ? 'delayed' : 'waiting'),
    need,
    ...(delayMs > 0 && { due: createdAt + delayMs }),
    ...(tenant !== NO_TENANT && { group: { id: tenant } }),
    ...(request.webhook_url !== undefined && { webhook: request.webhook_url }),
    ...(Object.keys(metadata).length > 0 && { metadata, terms: termsOf(metadata) }),
    ...(continuation !== undefined && { continuation }),
    ...(key !== undefined && { idempotency: key.mark }),
  };
  return { queue, id, key, createdAt, delayMs, name: questionPreview(request), data, options };
}

/** writtenJob writes the data of a new job as it is stored. */
export async function writtenJob(job: NewJob): Promise<WrittenJob> {
  const text = await job.queue.compression.data(job.data);
  return Object.assign(job, { json: text.length < LARGE_BYTES ? text : Buffer.from(text) });
}

function metadataOf(data: JobData): Record<string, string> {
  return ('request' in data ? data.request.metadata : data.metadata) ?? {};
}

/**
 * queueFor returns the queue of the model that a caller names, as `queueNamed` finds it. The upstream is still
 * sent the configured name.
 * @param name undefined: the default model.
 * @throws {QueueError} `unknown_model`
 */
export function queueFor(
  name: string | undefined,
  { queues, models }: Pick<QueueAccess, 'queues' | 'models'>,
): ModelQueue {
  const model = name ?? models.defaultModel;
  const queue = queueNamed(model, queues);
  if (queue !== undefined) return queue;
  const message = `expected one of ${[...queues.keys()].join(', ')}, got ${shown(model)}`;
  throw new QueueError(
    'unknown_model',
    `The model was refused: ${message}. Models are configured in o3q.config.json`,
    { flaws: [{ path: 'model', message }] },
  );
}

function checkDeadline({ deadline, delay_ms = 0 }: ParsedRequest, now: number): void {
  if (deadline === undefined || Date.parse(deadline) > now + delay_ms) return;
  const when = delay_ms > 0 ? 'a time after delay_ms has passed' : 'a time in the future';
  throw refusalOf('request', [{ path: 'deadline', message: `expected ${when}, got ${shown(deadline)}` }]);
}

function checkWebhook(
  { webhook_url: url }: ParsedRequest,
  webhooksOut: boolean,
  allowPrivate: boolean,
): void {
  if (url === undefined) return;
  const message = webhooksOut
    ? webhookUrlFlaw(url, allowPrivate)
    : 'expected nothing, since no webhooks are sent until O3Q_SIGNING_SECRET is set on producers and ' +
      'workers, got a URL';
  if (message !== undefined) throw refusalOf('request', [{ path: 'webhook_url', message }]);
}

/** viewOfNewJob returns the view of a job that was stored just now, without reading it from Redis. */
export function viewOfNewJob({ queue, id, createdAt, delayMs, name, options }: NewJob): JobView {
  return viewFrom({
    id,
    model: queue.model,
    tenant: tenantInView(options.group?.id ?? NO_TENANT),
    maxAttempts: options.attempts ?? queue.config.maxAttempts,
    name,
    need: options.need,
    metadata: options.metadata ?? {},
    createdAt,
    finishedAt: undefined,
    failedReason: '',
    returnValue: null,
    state: delayMs > 0 ? 'delayed' : 'waiting',
    open: true,
    dueAt: createdAt + delayMs,
    hindrance: NO_HINDRANCE,
    place: undefined,
    children: undefined,
    maxInFlight: undefined,
    run: runRecordFrom([]),
    now: createdAt,
  });
}

/** fieldsOf returns the fields of a job in the order in which `storeJobsScript` takes them. */
export function fieldsOf({
  id,
  key,
  createdAt,
  delayMs,
  name,
  data,
  json,
  options,
}: WrittenJob): ScriptValue[] {
  return [
    ...[id, name, json, JSON.stringify(options)],
    ...[createdAt, options.delay ?? 0, options.priority ?? 0],
    data.deadline === undefined ? '' : Date.parse(data.deadline),
    // A delayed job enters the fair queue when it is due.
    delayMs > 0 ? createdAt + delayMs : '',
    key === undefined ? '' : '1',
    options.terms ?? '',
  ];
}
