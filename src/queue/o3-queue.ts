import type { JobQueue } from '../job/job-queue.ts';
import type { Caller } from '../job/tenant.ts';
import type { ModelView, ResumedModel } from '../models/view.ts';
import type { UsageQuery, UsageReport } from '../usage/report.ts';
import { InstanceQueue, type O3QueueOptions } from './instance-queue.ts';
import { RedisJobQueue } from './redis-job-queue.ts';

/**
 * O3Queue is a JobQueue that uses Redis directly, for apps that share the Redis of the workers. It needs no
 * producer. It sees the jobs of every tenant; its own jobs belong to no tenant. While Redis is away every
 * method fails at once with `redis_unavailable`.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md, or the reason of the call's signal.
 */
export class O3Queue extends RedisJobQueue {
  readonly #queue: InstanceQueue;

  constructor(options: O3QueueOptions) {
    const queue = new InstanceQueue(options);
    super(queue);
    this.#queue = queue;
  }

  /**
   * Gives the queue as one caller sees it, on the same connections: with the caller's jobs only, unless it is
   * an admin.
   */
  as(caller: Caller): JobQueue {
    return new RedisJobQueue(this.#queue.as(caller));
  }

  /**
   * Reports what was used and what it cost. Default: the last 30 days, with a row for each day, model and
   * tenant.
   */
  async usage(query: UsageQuery = {}): Promise<UsageReport> {
    return this.#queue.usage(query);
  }

  /** Lists each configured model with its limits and its state. */
  async models(): Promise<ModelView[]> {
    return this.#queue.models();
  }

  /**
   * Ends the pause of a model that stopped for lack of money, and of its fallbacks: their jobs are sent again
   * at once.
   * @throws {QueueError} `model_not_configured`
   */
  async resume(model: string): Promise<ResumedModel> {
    return this.#queue.resume(model);
  }

  /**
   * Ends every wait with the job in its current state, and closes the connections to Redis. A second call
   * waits for the first one.
   */
  close(): Promise<void> {
    return this.#queue.close();
  }
}
