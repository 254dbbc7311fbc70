import { readBoardLimits } from '../fair-queue/board-limits.ts';
import { type Waiting, waitingIn } from '../fair-queue/eta.ts';
import type { ParsedRequest } from '../job/request.ts';
import { NO_TENANT } from '../job/tenant.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { createQuota, type Quota } from '../quota/quota.ts';
import type { QuotaSnapshot } from '../quota/snapshot.ts';
import { serverTime } from '../redis/server-time.ts';
import { createPriceList } from '../usage/price.ts';
import { usdFrom } from '../usage/usd.ts';
import { newJobFrom } from './new-job.ts';

/** Quote is what a job would cost, and when it would be answered, if it were enqueued now. */
export interface Quote extends Waiting {
  model: string;
  /** The upstream model that would be bought from. */
  upstream_model: string;
  /** What the job is expected to use, as its reservation of quota would be, in tokens. */
  input_tokens: number;
  output_tokens: number;
  /** What that costs in US dollars; null: the price is unknown. */
  expected_usd: number | null;
  /** The largest output that the request allows, in tokens; null: any. */
  most_output_tokens: number | null;
  /** What the job costs with the largest output, in US dollars; null: any output, or the price is unknown. */
  most_usd: number | null;
}

/**
 * quoteFor estimates what a request would cost and when it would be answered. It stores nothing.
 *
 * @param tenant the owner of the job; `NO_TENANT` for none.
 * @throws {QueueError} `invalid_request` or `unknown_model`, as enqueueing does.
 */
export async function quoteFor(access: QueueAccess, request: ParsedRequest, tenant: string): Promise<Quote> {
  const { queue, options } = newJobFrom(request, access, { streamByDefault: true, tenant, key: undefined });
  const { input = 0, effort = '', tier = null } = options.need ?? {};
  const [upstreamModel, quota, snapshot] = await upstreamOf(access, queue);
  const [[expected], waiting] = await Promise.all([
    quota.expect([{ id: '', inputTokens: input, class: `${tenant}/${effort}` }]),
    waitingFor(access, queue, tenant, snapshot),
  ]);
  const { inputTokens, outputTokens } = expected ?? { inputTokens: input, outputTokens: 0 };
  const most = 'request' in request ? request.request['max_output_tokens'] : request.max_output_tokens;
  const mostTokens = typeof most === 'number' ? most : null;
  const likely = Math.min(outputTokens, mostTokens ?? outputTokens);
  const prices = createPriceList(access.models.prices);
  const usdOf = (output: number): number | null =>
    usdFrom(
      prices.expectedCostOf({ upstreamModel, inputTokens, outputTokens: output, serviceTier: tier })?.nano,
    );
  return {
    model: queue.model,
    upstream_model: upstreamModel,
    input_tokens: inputTokens,
    output_tokens: likely,
    expected_usd: usdOf(likely),
    most_output_tokens: mostTokens,
    most_usd: mostTokens === null ? null : usdOf(mostTokens),
    ...waiting,
  };
}

/** upstreamOf returns the first upstream model that is not gone, or else the last one, with its quota. */
export async function upstreamOf(
  { redis, prefix }: Pick<QueueAccess, 'redis' | 'prefix'>,
  { upstreamModels, model }: Pick<ModelQueue, 'upstreamModels' | 'model'>,
): Promise<[upstreamModel: string, quota: Quota, snapshot: QuotaSnapshot]> {
  const [upstreamModel = model, ...fallbacks] = upstreamModels;
  const quota = createQuota(redis, prefix, upstreamModel);
  const snapshot = await quota.snapshot();
  if (snapshot.pauses[0]?.reason !== 'gone' || fallbacks.length === 0)
    return [upstreamModel, quota, snapshot];
  return upstreamOf({ redis, prefix }, { model, upstreamModels: fallbacks });
}

/**
 * Says what a new job would wait for. Its position is an estimate: as many jobs of each other tenant as wait
 * of its own go before it, because tenants take turns.
 */
async function waitingFor(
  { redis, models }: QueueAccess,
  { keys, bullmqSets, fairQueue, workers }: ModelQueue,
  tenant: string,
  { meanDurationMs }: QuotaSnapshot,
): Promise<Waiting> {
  const [all, own, tenants, pausedUntil, reason, status, living, limits] = await Promise.all([
    bullmqSets.parkedCount(),
    redis.zcard(`${keys.fairQueue('tenant')}:${tenant}`),
    redis.zcard(keys.fairQueue('tenants')),
    redis.zscore(keys.fairQueue('paused'), tenant),
    redis.hget(keys.fairQueue('reasons'), tenant),
    fairQueue.status(),
    workers.read(),
    readBoardLimits(redis, keys),
  ]);
  const now = serverTime(redis);
  const hasWorker = living.count > 0 && !limits.paused;
  if (all === 0 && hasWorker && status === undefined) {
    // Dispatchers write no status while nothing waits.
    const isKnown = meanDurationMs !== undefined;
    return {
      waiting_for: 'its start',
      position: 1,
      eta_ms: isKnown ? Math.round(meanDurationMs) : null,
      eta_basis: isKnown ? 'no job waits before it' : 'this model has not answered a job yet',
    };
  }
  const others = Math.max(0, tenants - (own > 0 ? 1 : 0));
  const until = Number(pausedUntil ?? 0);
  const place = {
    before: own + Math.min(Math.max(0, all - own), others * (own + 1)),
    ownBefore: own,
    pause: until > now ? { reason: reason ?? '', until } : undefined,
    status,
  };
  const maxInFlight =
    tenant !== NO_TENANT && Object.hasOwn(models.tenants, tenant)
      ? models.tenants[tenant]?.maxInFlight
      : undefined;
  const board = limits.paused ? ('pause' as const) : undefined;
  return waitingIn(place, { tenant, maxInFlight }, { board, limits, noWorker: living.count === 0 }, now);
}
