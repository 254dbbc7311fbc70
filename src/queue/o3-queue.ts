import { abortable } from '../async/abortable.ts';
import { type AuditPage, type AuditQuery, checkAuditQuery } from '../audit/audit.ts';
import { defaultModels } from '../config/file.ts';
import { refusalOf, shown } from '../errors/input.ts';
import type { CallOptions, JobQueue } from '../job/job-queue.ts';
import { type JobRequest, parseJobRequest } from '../job/request.ts';
import type { Caller } from '../job/tenant.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { Quote } from '../usage/quote.ts';
import type { UsageQuery, UsageReport } from '../usage/report.ts';
import { InstanceQueue, type O3QueueOptions } from './instance-queue.ts';
import { RedisJobQueue, signalOf } from './redis-job-queue.ts';

/**
 * O3Queue is a JobQueue that uses Redis directly, for apps that share the Redis of the workers. It needs no
 * producer. It sees the jobs of every tenant; the jobs that it enqueues belong to no tenant. While Redis is
 * away every method fails at once with `redis_unavailable`.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md, or the reason of the call's signal.
 */
export class O3Queue extends RedisJobQueue {
  readonly #queue: InstanceQueue;

  constructor(options: O3QueueOptions) {
    const queue = new InstanceQueue(checkedQueueOptions(options));
    super(queue);
    this.#queue = queue;
  }

  /**
   * Returns the queue as one caller sees it, on the same connections: with the caller's own jobs only, unless
   * the caller is an admin.
   */
  as(caller: Caller): JobQueue {
    return new RedisJobQueue(this.#queue.as(caller));
  }

  /**
   * Estimates what a request would cost and when it would be answered, in each completion window. It stores
   * nothing. The input is estimated from its length: only a producer can ask the upstream to count it.
   */
  async quote(request: JobRequest, options: CallOptions = {}): Promise<Quote> {
    return abortable(signalOf(options), async () => this.#queue.quote(parseJobRequest(request)));
  }

  /**
   * Reports what jobs have used and cost. Default: the last 30 days, with a row for each day, model and
   * tenant.
   */
  async usage(query: UsageQuery = {}, options: CallOptions = {}): Promise<UsageReport> {
    return abortable(signalOf(options), () => this.#queue.usage(query));
  }

  /**
   * Reads a page of the audit log: who has done what, newest first.
   * @throws {QueueError} `invalid_request`
   */
  async audit(query: AuditQuery = {}, options: CallOptions = {}): Promise<AuditPage> {
    checkAuditQuery(query);
    return abortable(signalOf(options), () => this.#queue.audit(query));
  }

  /** Lists each configured model with its limits and its state. */
  async models(options: CallOptions = {}): Promise<ModelView[]> {
    return abortable(signalOf(options), () => this.#queue.models());
  }

  /**
   * Ends any pause of a model and of its fallbacks, and removes the settings that were made for its queue on
   * Bull Board. Jobs are sent again within a second.
   * @throws {QueueError} `model_not_configured`
   */
  async resume(model: string, options: CallOptions = {}): Promise<ResumedModel> {
    return abortable(signalOf(options), () => this.#queue.resume(model));
  }

  /**
   * Ends all waits and closes the connections to Redis. Each wait returns the job in its current state. A
   * second call waits for the first one.
   */
  close(): Promise<void> {
    return this.#queue.close();
  }
}

/**
 * @throws {QueueError} `invalid_request` for an option that the queue does not know, or without `redisUrl`.
 */
function checkedQueueOptions(options: O3QueueOptions): O3QueueOptions {
  const { redisUrl, ...others } = options ?? {};
  const own = ['prefix', 'webhooksOut', 'ack', 'onWeakAck', 'onCancelled', 'onError'];
  const known = [...own, ...Object.keys(defaultModels())];
  const unknown = Object.keys(others).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const message = `expected only redisUrl, ${known.join(', ')} as options`;
    throw refusalOf('options', [{ path: unknown, message }]);
  }
  if (typeof redisUrl === 'string') return options;
  const message = `expected the URL of a Redis, got ${shown(redisUrl)}`;
  throw refusalOf('options', [{ path: 'redisUrl', message }]);
}
