import { delayedScore, WAITING_SCORE } from '../../src/fair-queue/parked.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import {
  catalogKey,
  GONE,
  isPast,
  readCatalog,
  shutdownDateIn,
  shutdownTime,
} from '../../src/models/catalog.ts';
import type { Logger } from '../../src/process/log.ts';
import type { Quotas } from '../../src/quota/quota.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import type { ListedModel } from '../upstream/capabilities.ts';
import type { Upstream } from '../upstream/client.ts';
import { countOutliving, endsOf, isNearOrPast, isWorthNotice, type ModelEnd } from './model-shutdown.ts';

export interface CatalogOptions {
  redis: RedisClient;
  prefix: string;
  queues: readonly ModelQueue[];
  quotas: Quotas;
  upstream: Pick<Upstream, 'listModels'>;
  logger: Logger;
  onError: (error: Error) => void;
}

/** Catalog is what the upstream's list of models says about the configured models. It is stored in Redis. */
export interface Catalog {
  stop(): void;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/**
 * The time between two rounds, in milliseconds. Jobs try a gone model again after ten minutes, unless a round
 * reports before that time that the model is still gone.
 */
const ROUND_MS = 300_000;
/** Spreads the workers of a fleet, so that they do not all begin at the same instant. */
const JITTER_MS = 2000;
const LIST_ANSWER_MS = 30_000;

/**
 * keepCatalog starts the rounds. Each round reports a model as gone once its last day is over, and never
 * earlier, so that its fallbacks take over. Every worker asks the upstream for its list of models once; after
 * that, one worker of the fleet asks once an hour. Every worker logs each coming shutdown once; after that,
 * one worker of the fleet logs it every day.
 */
export function keepCatalog(options: CatalogOptions): Catalog {
  const stopping = new AbortController();
  const { signal } = stopping;
  const rounds: Rounds = { warned: new Set(), hasAsked: false };
  let timer: NodeJS.Timeout | undefined;
  const begin = (inMs: number): void => {
    timer = setTimeout(
      () => {
        round(options, rounds, signal)
          .catch((error: Error) => {
            if (!signal.aborted) options.onError(error);
          })
          .finally(() => {
            if (!signal.aborted) begin(ROUND_MS);
          });
      },
      inMs + Math.random() * JITTER_MS,
    );
  };
  begin(0);
  return {
    stop() {
      stopping.abort();
      clearTimeout(timer);
    },
  };
}

interface Rounds {
  /** The shutdowns that this worker has logged. */
  warned: Set<string>;
  /** Whether the upstream has answered this worker. */
  hasAsked: boolean;
}

async function round(options: CatalogOptions, rounds: Rounds, signal: AbortSignal): Promise<void> {
  const { warned } = rounds;
  const { redis, prefix, queues, quotas } = options;
  const names = [...new Set(queues.flatMap(({ upstreamModels }) => upstreamModels))];
  const claim = `${catalogKey(prefix)}:claim:${names.join(',')}`;
  // The claim lasts only until the next round. Otherwise a worker that dies while it asks would keep all
  // workers from asking for an hour.
  const isMine = (await redis.set(claim, '', 'PX', ROUND_MS - JITTER_MS, 'NX')) === 'OK';
  // Each worker asks once, because it must know whether the upstream is the simulator before budgets count.
  if (isMine || !rounds.hasAsked) {
    const isAnswered = await ask(names, options, signal);
    rounds.hasAsked ||= isAnswered;
    if (isMine && isAnswered) await redis.pexpire(claim, HOUR_MS - JITTER_MS);
  }
  const catalog = await readCatalog(redis, prefix);
  const dateOf = (name: string): string | undefined => shutdownDateIn(catalog, name);

  const withFallback = new Set(queues.flatMap(({ upstreamModels }) => upstreamModels.slice(0, -1)));
  for (const name of withFallback) {
    const date = dateOf(name);
    // A model without a fallback is not reported as gone, because no other model could take its jobs.
    if (date !== undefined && isPast(date, serverTime(redis))) await quotas.of(name).report({ what: 'gone' });
  }
  for (const queue of queues) {
    const ends = endsOf(queue.config, dateOf, serverTime(redis));
    for (const end of ends.filter(isNearOrPast)) {
      const name = `${queue.model}:${end.upstreamModel}:${end.date}`;
      const isDue = isMine && isWorthNotice(end) && (await isFirstToday(queue, end, options));
      if (isDue || !warned.has(name)) giveNotice(queue, end, options);
      warned.add(name);
    }
    if (isMine) await warnOfOutliving(queue, ends, options);
  }
}

/** @returns false when the upstream did not answer and should be asked again soon. */
async function ask(
  names: readonly string[],
  { redis, prefix, upstream, logger }: CatalogOptions,
  signal: AbortSignal,
): Promise<boolean> {
  let listed: ListedModel[] | undefined;
  try {
    listed = await upstream.listModels(AbortSignal.any([signal, AbortSignal.timeout(LIST_ANSWER_MS)]));
  } catch (error: unknown) {
    const why = error instanceof Error ? error.message : String(error);
    if (!signal.aborted) logger.info({ why }, 'the upstream did not answer with its list of models');
    return false;
  }
  const key = catalogKey(prefix);
  const catalog = await readCatalog(redis, prefix);
  for (const name of names) {
    const entry = entryOf(name, listed, shutdownDateIn(catalog, name));
    if (entry === undefined) await redis.hdel(key, name);
    else await redis.hset(key, name, entry);
    if (entry === GONE && catalog.get(name) !== GONE)
      logger.info({ upstream_model: name }, 'the upstream does not list a configured model');
  }
  return true;
}

/** @param known the shutdown date that was announced while the model was still in the list. */
function entryOf(
  name: string,
  listed: readonly ListedModel[] | undefined,
  known: string | undefined,
): string | undefined {
  if (listed === undefined) return undefined;
  const found = listed.find(({ id }) => id === name);
  return found === undefined ? (known ?? GONE) : found.shutdownDate;
}

/** Returns whether no worker of the fleet has logged this shutdown in the last day. */
async function isFirstToday(
  { model }: ModelQueue,
  { upstreamModel }: ModelEnd,
  { redis, prefix }: CatalogOptions,
): Promise<boolean> {
  const said = `${catalogKey(prefix)}:said:${model}:${upstreamModel}`;
  return (await redis.set(said, '', 'PX', DAY_MS, 'NX')) === 'OK';
}

function giveNotice(
  { model }: ModelQueue,
  { upstreamModel, date, daysLeft, isPast: isOver, successor }: ModelEnd,
  { logger }: CatalogOptions,
): void {
  logger.warn(
    {
      model,
      upstream_model: upstreamModel,
      shutdown_date: date,
      days_left: daysLeft,
      takes_over: successor ?? null,
      setting: `models.${model}.fallbacks`,
    },
    isOver ? 'the upstream has shut down a model' : 'the upstream will shut down a model',
  );
}

async function warnOfOutliving(
  { model, keys, bullmqSets, fairQueue }: ModelQueue,
  ends: readonly ModelEnd[],
  { redis, logger }: CatalogOptions,
): Promise<void> {
  const end = ends.find((each) => !each.isPast);
  if (end === undefined) return;
  const endMs = shutdownTime(end.date);
  const [waiting, delayedByBullmq, delayed, status] = await Promise.all([
    bullmqSets.parkedCount(),
    redis.zcount(keys.queue('delayed'), delayedScore(endMs), `(${WAITING_SCORE}`),
    redis.zcount(keys.fairQueue('due'), endMs, '+inf'),
    fairQueue.status(),
  ]);
  const inLine = status === undefined ? 0 : countOutliving(waiting, status, endMs, serverTime(redis));
  const later = delayedByBullmq + delayed;
  if (inLine + later === 0) return;
  const { upstreamModel, date, successor } = end;
  logger.warn(
    {
      model,
      upstream_model: upstreamModel,
      shutdown_date: date,
      jobs: inLine + later,
      takes_over: successor ?? null,
      setting: `models.${model}.fallbacks`,
    },
    'jobs are queued beyond the shutdown of their model',
  );
}
