import { readBoardLimits } from '../fair-queue/board-limits.ts';
import { type Waiting, waitingIn } from '../fair-queue/eta.ts';
import {
  COMPLETION_WINDOWS,
  type CompletionWindow,
  discountOf,
  WINDOW_MS,
  windowNamed,
} from '../job/completion-window.ts';
import type { ParsedRequest } from '../job/request.ts';
import type { EnqueuedNeed } from '../job/stored-options.ts';
import { NO_TENANT } from '../job/tenant.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { createQuota, type Quota } from '../quota/quota.ts';
import type { QuotaSnapshot } from '../quota/snapshot.ts';
import { chooseWindow, marginsFor, windowsFor } from '../quota/window-choice.ts';
import { serverTime } from '../redis/server-time.ts';
import { LONG_INPUT } from '../usage/openai-prices.ts';
import { createPriceList } from '../usage/price.ts';
import type { Quote, QuotedWindow } from '../usage/quote.ts';
import { usdFrom } from '../usage/usd.ts';
import { newJobFrom } from './new-job.ts';

/**
 * quoteFor estimates what a request would cost and when it would be answered. It stores nothing.
 *
 * @param tenant the owner of the job; `NO_TENANT` for none.
 * @param countedTokens the input as the upstream has counted it; undefined: it is estimated from its length.
 * @throws {QueueError} `invalid_request` or `unknown_model`, as enqueueing does.
 */
export async function quoteFor(
  access: QueueAccess,
  request: ParsedRequest,
  tenant: string,
  countedTokens?: number,
): Promise<Quote> {
  const { queue, delayMs, options } = newJobFrom(request, access, {
    ...{ streamByDefault: true, tenant, key: undefined },
  });
  const need: Partial<EnqueuedNeed> = options.need ?? {};
  const { input = 0, effort = '', tier = null, by } = need;
  const [upstreamModel, quota, snapshot] = await upstreamOf(access, queue);
  const [[expected], waiting] = await Promise.all([
    quota.expect([{ id: '', inputTokens: input, class: `${tenant}/${effort}` }]),
    waitingFor(access, queue, tenant, snapshot),
  ]);
  const inputTokens = countedTokens ?? expected?.inputTokens ?? input;
  const most = 'request' in request ? request.request['max_output_tokens'] : request.max_output_tokens;
  const mostTokens = typeof most === 'number' ? most : null;
  const likely = Math.min(expected?.outputTokens ?? 0, mostTokens ?? Number.POSITIVE_INFINITY);
  const { meanDurationMs = 0, lateness, noWindowsUntil = 0 } = snapshot;
  /** When the job is sent to the upstream, in Unix milliseconds; the end of an unknown wait is now. */
  const sentAt =
    serverTime(access.redis) + delayMs + Math.max(0, (waiting.eta_ms ?? meanDurationMs) - meanDurationMs);

  const prices = createPriceList(access.models);
  const { completionWindows } = queue.config;
  const quoted = (window: CompletionWindow): QuotedWindow => {
    const discount = discountOf(window, completionWindows);
    const use = { upstreamModel, inputTokens, serviceTier: tier, discount };
    const cost = prices.expectedCostOf({ ...use, outputTokens: likely });
    const highest = mostTokens === null ? null : prices.highestCostOf({ ...use, outputTokens: mostTokens });
    const isKnown = window !== 'soonest' || waiting.eta_ms !== null;
    const answerAt = sentAt + (window === 'soonest' ? meanDurationMs : WINDOW_MS[window]);
    return {
      completion_window: window,
      discount,
      expected_usd: usdFrom(cost?.nano),
      most_usd: usdFrom(highest?.nano),
      saved_usd: usdFrom(cost && cost.listNano - cost.nano),
      answer_by: isKnown ? new Date(answerAt).toISOString() : null,
    };
  };
  const leftMs = by === undefined ? undefined : by - sentAt;
  const marginMs = marginsFor(lateness);
  const chooses = windowsFor(queue.config, upstreamModel, need.tier);
  const isRefused = noWindowsUntil > sentAt && Object.keys(chooses).length > 0;
  const offered = isRefused ? {} : chooses;
  const chosenBy = { model: queue.config, upstreamModel, marginMs, isRefused };
  const chosen = chooseWindow(need, leftMs, chosenBy)?.name ?? 'soonest';
  const known = windowNamed(chosen);
  const soonest = quoted('soonest');
  const windows = COMPLETION_WINDOWS.filter(
    (window) => window !== 'soonest' && (offered[window] !== undefined || window === known),
  );
  const all = [soonest, ...windows.map(quoted)];
  const { expected_usd, most_usd } = all.find((each) => each.completion_window === chosen) ?? soonest;
  return {
    model: queue.model,
    upstream_model: upstreamModel,
    input_tokens: inputTokens,
    input_basis:
      countedTokens === undefined ? 'estimated from the length of the text' : 'counted by the upstream',
    is_long_input: inputTokens > LONG_INPUT,
    output_tokens: likely,
    output_basis:
      snapshot.meanTokens === undefined
        ? 'a guess: this model has not answered a job yet'
        : 'the mean of earlier answers',
    most_output_tokens: mostTokens,
    completion_window: chosen,
    ...{ expected_usd, most_usd },
    windows: all,
    no_windows_until: isRefused ? new Date(noWindowsUntil).toISOString() : null,
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
