import { type ModelConfig, upstreamModelsOf } from '../config/file.ts';
import { type Backlog, backlogOf } from '../fair-queue/backlog.ts';
import { type BoardLimits, concurrencyText, rateText } from '../fair-queue/board-limits.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { WorkersReading } from '../model-queue/workers.ts';
import { limitsOf } from '../quota/limits.ts';
import { createQuota } from '../quota/quota.ts';
import type { PauseReason, QuotaPause, QuotaSnapshot } from '../quota/snapshot.ts';
import type { RedisClient } from '../redis/connection.ts';
import { readCatalog, shutdownDateIn } from './catalog.ts';
import { type Runnable, runnableOf } from './runnable.ts';
import type { ModelState, ModelStatus, ModelView } from './view.ts';

/** ModelReading is the state of one configured model. */
interface ModelReading {
  model: string;
  config: ModelConfig;
  /** The upstream model that jobs are sent to now: the first one that is not gone. */
  upstreamModel: string;
  /** How many jobs wait in the model's fair queue. */
  waiting: number;
  backlog: Backlog;
  /** What an autoscaler needs: `waiting` here also counts due jobs, and jobs that only need a worker. */
  runnable: Runnable;
  /** How long ago the oldest of these jobs was enqueued, in milliseconds; 0: no job waits. */
  oldestWaitingMs: number;
  workers: WorkersReading;
  board: BoardLimits;
}

/**
 * ModelsSnapshot is the state of all configured models and their upstream models. Reading it costs the same
 * for any number of jobs.
 */
export interface ModelsSnapshot {
  models: readonly ModelReading[];
  /** The quotas of the upstream models, fallbacks included, by the upstream's name. */
  quotas: ReadonlyMap<string, QuotaSnapshot>;
  /** The shutdown dates (`YYYY-MM-DD`) of the upstream models, by the upstream's name. */
  shutdownDates: ReadonlyMap<string, string>;
}

/** readModels reads a ModelsSnapshot. */
export async function readModels(
  redis: RedisClient,
  prefix: string,
  queues: readonly Pick<ModelQueue, 'model' | 'config' | 'keys' | 'workers'>[],
): Promise<ModelsSnapshot> {
  const upstreamModels = [...new Set(queues.flatMap(({ config }) => upstreamModelsOf(config)))];
  const [catalog, quotaList, readings] = await Promise.all([
    readCatalog(redis, prefix),
    Promise.all(
      upstreamModels.map(async (name) => [name, await createQuota(redis, prefix, name).snapshot()] as const),
    ),
    Promise.all(
      queues.map(async ({ model, config, keys, workers }) => {
        const [backlog, living] = await Promise.all([backlogOf(redis, keys), workers.read()]);
        return { model, config, backlog, workers: living };
      }),
    ),
  ]);
  const quotas = new Map(quotaList);
  const configs = Object.fromEntries(queues.map(({ model, config }) => [model, config]));
  const models = readings.map((reading) => {
    const { model, config } = reading;
    const upstreamModel = currentUpstream(config, quotas) ?? model;
    const quota = quotas.get(upstreamModel);
    if (quota === undefined) throw new Error(`expected a quota of ${upstreamModel}`);
    return { ...reading, upstreamModel, quota, limits: limitsOf(configs, upstreamModel, config) };
  });
  const runnable = runnableOf(models);
  const dates = upstreamModels.map((name) => [name, shutdownDateIn(catalog, name)] as const);
  return {
    models: models.map(({ model, config, upstreamModel, backlog, workers }, i) => ({
      ...{ model, config, upstreamModel, backlog, workers },
      waiting: backlog.inFairQueue,
      runnable: runnable[i] ?? { waiting: 0, runnable: 0, limitedBy: null },
      oldestWaitingMs: backlog.oldestAt === undefined ? 0 : Math.max(0, backlog.at - backlog.oldestAt),
      board: backlog.board.limits,
    })),
    quotas,
    shutdownDates: new Map(dates.filter((known): known is [string, string] => known[1] !== undefined)),
  };
}

/** When all upstream models are gone, jobs are still sent to the last one. */
function currentUpstream(
  config: ModelConfig,
  quotas: ReadonlyMap<string, QuotaSnapshot>,
): string | undefined {
  const upstreamModels = upstreamModelsOf(config);
  const isGone = (name: string): boolean => quotas.get(name)?.pauses[0]?.reason === 'gone';
  return upstreamModels.find((name) => !isGone(name)) ?? upstreamModels.at(-1);
}

/** modelViewsFrom returns what users see of a ModelsSnapshot. */
export function modelViewsFrom({ models, quotas, shutdownDates }: ModelsSnapshot): ModelView[] {
  return models.map(({ model, config, upstreamModel, waiting, workers, board }) => {
    const quota = quotas.get(upstreamModel);
    const pause = quota?.pauses[0];
    return {
      model,
      upstream: config.upstream,
      fallbacks: [...config.fallbacks],
      upstream_model: upstreamModel,
      limits: {
        requests_per_minute: config.requestsPerMinute ?? null,
        tokens_per_minute: config.tokensPerMinute ?? null,
        max_in_flight: config.maxInFlight ?? null,
        max_in_flight_windowed: config.maxInFlightWindowed,
      },
      told_limits: {
        requests_per_minute: quota?.advertisedRequests ?? null,
        tokens_per_minute: quota?.advertisedTokens ?? null,
      },
      board,
      state: {
        ...statusOf({ model, config, upstreamModel, pause, workers, board, now: quota?.at ?? 0 }),
        workers: workers.count,
        free_slots: workers.freeSlots,
        waiting,
        in_flight: quota === undefined ? 0 : quota.inFlight - quota.inFlightWindowed,
        in_flight_windowed: quota?.inFlightWindowed ?? 0,
        no_windows_until: timeText(quota?.noWindowsUntil),
        requests_last_minute: quota?.requests ?? 0,
        tokens_last_minute: quota?.tokens ?? 0,
        shutdown_date: shutdownDates.get(upstreamModel) ?? null,
      },
    };
  });
}

function timeText(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/**
 * troublesIn returns a sentence for each model that cannot answer and may need an operator. A model that only
 * waits for its limit per minute is left out.
 */
export function troublesIn(views: readonly ModelView[]): string[] {
  return views
    .filter(({ state: { status } }) => status !== 'open' && status !== 'rate_limited')
    .map(({ model, state: { reason } }) => `${model}: ${reason}`);
}

const STATUS_BY_REASON: Record<PauseReason, ModelStatus> = {
  gone: 'gone',
  quota_exhausted: 'paused',
  credentials_refused: 'paused',
  wrong_address: 'paused',
  upstream_down: 'down',
  rate_limited: 'rate_limited',
};

const NO_WORKER = 'no worker is running';

/** What the status of a model is derived from. */
interface Standing {
  model: string;
  config: ModelConfig;
  upstreamModel: string;
  pause: QuotaPause | undefined;
  workers: WorkersReading;
  board: BoardLimits;
  now: number;
}

type Status = Pick<ModelState, 'status' | 'until' | 'reason'>;

function statusOf(standing: Standing): Status {
  const { model, workers, board } = standing;
  const upstream = upstreamStatusOf(standing);
  const isHeldUp = upstream.status !== 'open' && upstream.status !== 'rate_limited';
  const boardReason = boardReasonOf(board, model);
  const reasons = [workers.count === 0 ? NO_WORKER : null, boardReason, upstream.reason];
  const status = (): ModelStatus => {
    if (workers.count === 0) return 'no_worker';
    if (board.paused) return 'paused';
    return boardReason === null || isHeldUp ? upstream.status : 'limited';
  };
  return {
    status: status(),
    until: upstream.until,
    reason: reasons.filter((reason) => reason !== null).join('; ') || null,
  };
}

/** boardReasonOf says what was set on Bull Board; null: nothing. */
function boardReasonOf({ paused, concurrency, rate_limit: rate }: BoardLimits, model: string): string | null {
  const limits = [
    ...(concurrency === null ? [] : [concurrencyText(concurrency)]),
    ...(rate === null ? [] : [rateText(rate)]),
  ].join(' and ');
  const end = `; \`o3q resume ${model}\` ends this`;
  if (paused) return `paused on Bull Board${limits === '' ? '' : `, and limited there to ${limits}`}${end}`;
  return limits === '' ? null : `limited on Bull Board to ${limits}${end}`;
}

/** upstreamStatusOf says whether the upstream takes the jobs of a model. */
function upstreamStatusOf(standing: Standing): Status {
  const { config, upstreamModel, pause } = standing;
  if (pause === undefined) {
    const isFallback = upstreamModel !== config.upstream;
    const reason = isFallback
      ? `${config.upstream} no longer exists at the upstream; ${upstreamModel} takes over`
      : null;
    return { status: 'open', until: null, reason };
  }
  return {
    status: STATUS_BY_REASON[pause.reason],
    until: new Date(pause.until).toISOString(),
    reason: reasonOf(pause, standing),
  };
}

function reasonOf(
  { reason, until, words }: QuotaPause,
  { model, config, upstreamModel, now }: Standing,
): string {
  const time = new Date(until).toISOString();
  const next = until > now ? `one job tries again at ${time}` : 'the next job tries again';
  const resumption = `${next}, or all jobs after \`o3q resume ${model}\``;
  const said = words === '' ? '' : `: ${words}`;
  switch (reason) {
    case 'gone':
      return goneReason(model, upstreamModelsOf(config));
    case 'quota_exhausted':
      return `quota exhausted (the upstream account of ${upstreamModel} has no money left${said}); ${resumption}`;
    case 'credentials_refused':
      return `credentials refused (the upstream of ${upstreamModel} accepts neither key nor account${said}); ${resumption}`;
    case 'wrong_address':
      return `wrong address (what answers for ${upstreamModel} is not the API${said}); ${resumption}`;
    case 'upstream_down':
      return `the upstream of ${upstreamModel} is unreachable or overloaded; ${next}${words === '' ? '' : ` (${words})`}`;
    case 'rate_limited':
      return `rate limited; the upstream accepts no request for ${upstreamModel} until ${time}`;
    default: {
      const never: never = reason;
      throw new Error(`unknown reason ${String(never)}`);
    }
  }
}

/**
 * goneReason says which setting is missing while the upstream has neither a model nor any of its fallbacks.
 *
 * @param upstreamModels the upstream's name of the model, then its fallbacks.
 */
export function goneReason(model: string, [first = model, ...fallbacks]: readonly string[]): string {
  const settings = `models.${model}.upstream or models.${model}.fallbacks in o3q.config.json`;
  const others =
    fallbacks.length === 0
      ? 'and no fallback takes over'
      : `and neither do its fallbacks (${fallbacks.join(', ')})`;
  return `${first} does not exist at the upstream, ${others}: set ${settings}`;
}
