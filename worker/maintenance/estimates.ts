import { isFailure } from '../../src/errors/failure.ts';
import type { UpstreamHeaders } from '../../src/job/fields/upstream-headers.ts';
import { settleEstimate, takeEstimates } from '../../src/lua/usage.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import type { UsageSpent } from '../../src/run/record.ts';
import { usageBookingOf } from '../../src/run/spent.ts';
import { usageKey } from '../../src/usage/keys.ts';
import type { PriceList } from '../../src/usage/price.ts';
import { utcDay } from '../../src/usage/utc-day.ts';
import { endedSince, type WebhookKeys, webhookKeysOf } from '../../src/webhooks/openai-events.ts';
import { spentOn } from '../attempt/purchase/spent.ts';
import type { Upstream } from '../upstream/client.ts';
import { hasEnded } from '../upstream/running-response.ts';

export interface EstimatesOptions {
  redis: RedisClient;
  prefix: string;
  upstream: { withHeaders(headers: UpstreamHeaders): Pick<Upstream, 'retrieve'> };
  prices: PriceList;
  /** Called when the upstream has reported a usage that was estimated. */
  onSpent: (spent: UsageSpent) => void;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** How many responses are looked up at the same time. Each lookup holds one connection to the upstream. */
const AT_ONCE = 16;
/**
 * How long an estimate is lent to the worker that looks it up, in milliseconds: longer than a lookup takes.
 */
const LENT_MS = 2 * MINUTE_MS;
const LOOK_MS = MINUTE_MS;
/**
 * The first pause between two lookups, in milliseconds. Each pause is as long as the estimate is old, so the
 * pauses double.
 */
const FIRST_PAUSE_MS = 5000;
/**
 * When an estimate is this old, in milliseconds, a response that has ended or is missing is not looked up
 * again: it will not report a usage any more.
 */
const GIVE_UP_ENDED_MS = MINUTE_MS;
const GIVE_UP_MS = 24 * HOUR_MS;
/**
 * How far back webhooks are read, in milliseconds: three times as long as the drains wait at most, so that no
 * webhook is overlooked.
 */
const WEBHOOKS_MS = 15_000;

/** OpenEstimate is what was booked for a response whose usage the upstream may still report. */
interface OpenEstimate {
  responseId: string;
  /** When it was booked, in Unix milliseconds. */
  since: number;
  job: string;
  tenant: string;
  headers: UpstreamHeaders;
  /** The discount of the response's completion window, 0 to 1. */
  discount: number;
}

/**
 * drainEstimates looks up the responses whose usage was estimated. When a response reports its usage,
 * drainEstimates corrects what was booked. A webhook makes a response due at once. Any number of workers may
 * run it at the same time. docs/ARCHITECTURE.md says what a crash between any two lines leaves.
 */
export async function drainEstimates(queue: ModelQueue, options: EstimatesOptions): Promise<void> {
  const { redis, prefix } = options;
  const { estimates, estimatesDue } = queue.keys;
  if ((await redis.zcard(estimatesDue)) === 0) return;
  await hearWebhooks(redis, webhookKeysOf(prefix), estimatesDue);
  for (;;) {
    const now = serverTime(redis);
    const taken = (await takeEstimates.run(redis, {
      keys: { estimates, estimatesDue },
      args: { now, lentUntil: now + LENT_MS, most: AT_ONCE },
    })) as string[];
    const open = taken.flatMap((text, i) => (i % 2 === 1 ? [estimateFrom(taken[i - 1] ?? '', text)] : []));
    await Promise.all(open.map((estimate) => look(estimate, queue, options)));
    if (open.length < AT_ONCE) return;
  }
}

async function hearWebhooks(redis: RedisClient, keys: WebhookKeys, estimatesDue: string): Promise<void> {
  const now = serverTime(redis);
  const ids = await endedSince(redis, keys, now - WEBHOOKS_MS);
  if (ids.length > 0) await redis.zadd(estimatesDue, 'XX', 'LT', ...ids.flatMap((id) => [now, id]));
}

function estimateFrom(responseId: string, text: string): OpenEstimate {
  const { since, job, tenant, headers, discount } = JSON.parse(text) as Record<string, string>;
  return {
    responseId,
    since: Number(since),
    job: job ?? '',
    tenant: tenant ?? '',
    headers: JSON.parse(headers ?? '{}') as UpstreamHeaders,
    discount: Number(discount ?? 0),
  };
}

async function look(estimate: OpenEstimate, queue: ModelQueue, options: EstimatesOptions): Promise<void> {
  const { redis, prefix, prices, upstream, onSpent } = options;
  const { responseId, since, job, tenant, headers, discount } = estimate;
  const { estimates, estimatesDue, run } = queue.keys;
  /** Resolves to false if another worker has ended the estimate before. */
  const settle = async (real: string): Promise<boolean> => {
    const usage = usageKey(prefix, queue.model, utcDay(serverTime(redis)));
    const answer = await settleEstimate.run(redis, {
      keys: { run: run(job), usage, estimates, estimatesDue },
      args: { response: responseId, real },
    });
    return answer === 1;
  };
  let response: UpstreamResponse | undefined;
  let isMissing = false;
  try {
    response = await upstream.withHeaders(headers).retrieve(responseId, AbortSignal.timeout(LOOK_MS));
  } catch (error: unknown) {
    if (!isFailure(error)) throw error;
    isMissing = !error.retryable || error.refusal?.status === 404;
  }
  const ageMs = serverTime(redis) - since;
  const isEnded = response !== undefined && hasEnded(response);
  if (response !== undefined && isEnded) {
    const spent = spentOn(response, { prices, discount });
    const { usage } = spent;
    if (usage !== null) {
      const isFirst = await settle(usageBookingOf(spent, { id: job, tenant, now: serverTime(redis) }));
      if (isFirst) onSpent({ ...spent, usage });
      return;
    }
  }
  if (ageMs > (isEnded || isMissing ? GIVE_UP_ENDED_MS : GIVE_UP_MS)) {
    await settle('');
    return;
  }
  // An estimate that another worker has settled is not added again.
  const pauseMs = Math.min(Math.max(ageMs, FIRST_PAUSE_MS), HOUR_MS);
  await redis.zadd(estimatesDue, 'XX', serverTime(redis) + pauseMs, responseId);
}
