import { assertWithinBudget } from '../enqueue/enqueue.ts';
import { queueFor } from '../enqueue/new-job.ts';
import { upstreamOf } from '../enqueue/quote.ts';
import { bookCall } from '../lua/usage.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { serverTime } from '../redis/server-time.ts';
import { serviceTierOf, type UpstreamResponse, usageOf } from '../responses/response.ts';
import { usageBookingOf } from '../run/spent.ts';
import { usageKey } from '../usage/keys.ts';
import { createPriceList } from '../usage/price.ts';
import { utcDay } from '../usage/utc-day.ts';
import type { QueueCore } from './queue-core.ts';

/** DirectTarget says where a direct call goes. */
export interface DirectTarget {
  /** The model as callers name it. */
  readonly model: string;
  /** The upstream's names of the model, in the order in which they are tried, without those that are gone. */
  readonly upstreamModels: readonly string[];
}

/**
 * DirectCalls is what the queue knows about calls that go to the upstream at once, without a job: which
 * upstream model answers, whether the tenant may spend, and what was spent. Such calls reserve no quota.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class DirectCalls {
  readonly #core: QueueCore;
  readonly #tenant: string;

  /** @param tenant the tenant that calls; `NO_TENANT` for none. */
  constructor(core: QueueCore, tenant: string) {
    this.#core = core;
    this.#tenant = tenant;
  }

  /**
   * Finds the upstream models of a model. @param model undefined: the default model.
   * @throws {QueueError} `unknown_model`
   */
  async target(model: string | undefined): Promise<DirectTarget> {
    const queue = queueFor(model, this.#core);
    const [first] = await this.#core.guard(() => upstreamOf(this.#core, queue));
    return { model: queue.model, upstreamModels: from(first, queue) };
  }

  /**
   * Checks that the tenant may spend: its daily budget is not used up. No job could wait for midnight, so the
   * call is refused, whatever `onBudgetExhausted` says.
   * @throws {QueueError} `budget_exhausted`
   */
  async assertWithinBudget(): Promise<void> {
    await this.#core.guard(() => assertWithinBudget(this.#core, this.#tenant));
  }

  /**
   * Adds a call to the usage of the tenant's day, and so to its budget.
   * @param response what the upstream answered; undefined: the call was sent and its outcome is unknown. It is
   * then booked as a request without a price.
   */
  async book(model: string, upstreamModel: string, response: UpstreamResponse | undefined): Promise<void> {
    const { redis, prefix, models, guard } = this.#core;
    const usage = response === undefined ? null : usageOf(response);
    const serviceTier = response === undefined ? null : serviceTierOf(response);
    const cost = createPriceList(models).costOf({ upstreamModel, usage, serviceTier });
    await guard(async () => {
      const now = serverTime(redis);
      const spent = { responseId: undefined, usage, cost };
      await bookCall.run(redis, {
        keys: { usage: usageKey(prefix, model, utcDay(now)) },
        args: { booking: usageBookingOf(spent, { id: '', tenant: this.#tenant, now }) },
      });
    });
  }
}

function from(first: string, { upstreamModels }: ModelQueue): string[] {
  return upstreamModels.slice(Math.max(0, upstreamModels.indexOf(first)));
}
