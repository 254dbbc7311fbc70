import type { JobFilter } from '../job/job-queue.ts';
import type { JobError, JobView } from '../job/view.ts';
import { search } from '../job-store/search.ts';
import { bullmqError } from '../model-queue/bullmq-failure.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { usdFrom } from '../usage/usd.ts';

/** FailureGroup is the failed jobs with one code, whose messages differ in numbers, times and ids only. */
export interface FailureGroup {
  code: string;
  /** The message of the newest job of the group. */
  message: string;
  count: number;
  /** What the jobs of the group have cost, in US dollars. */
  cost_usd: number;
  /** The newest job of the group; undefined: it was deleted meanwhile. */
  newest: JobView | undefined;
}

/** Failures are the newest failed jobs, in groups. */
export interface Failures {
  /** The largest group first. */
  groups: FailureGroup[];
  /**
   * How many failed jobs there are with each code, those that were not looked at included. Not known for one
   * tenant of several, unless all of its failed jobs were looked at.
   */
  totals: ReadonlyMap<string, number> | undefined;
  /** How many failed jobs were looked at. */
  looked: number;
  /** When the oldest of them was created, in ISO 8601; null: no older failed job exists. */
  back_to: string | null;
}

/** The most failed jobs that one call looks at, and the longest time that it looks, in milliseconds. */
const LOOKED_AT_MOST = 5000;
const LOOKS_FOR_MS = 500;
/** What differs between messages about the same thing: ids, times and numbers. */
const VARYING = /\b[a-z]+_[A-Za-z0-9]{6,}\b|\b\d{4}-\d{2}-\d{2}T[\d:.]+Z\b|\d+(?:[.,]\d+)*/g;

interface Gathered {
  error: JobError;
  count: number;
  costNano: number;
  model: string;
  id: string;
}

/**
 * readFailures groups the newest failed jobs by code and message. It looks at 5,000 jobs at most, and for
 * half a second at most, so its cost does not grow with the number of jobs.
 *
 * @param tenant the tenant whose jobs are read; undefined: all jobs.
 * @param lookedAtMost after how many jobs it stops. Default 5,000.
 */
export async function readFailures(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  tenant: string | undefined,
  lookedAtMost = LOOKED_AT_MOST,
): Promise<Failures> {
  const filter: JobFilter = { status: 'failed', tenant };
  const stopAt = performance.now() + LOOKS_FOR_MS;
  const groups = new Map<string, Gathered>();
  let looked = 0;
  let backTo: number | undefined;
  for await (const step of search(redis, queues, filter, { withCosts: true })) {
    const errors = await Promise.all(
      step.found.map(async ({ entry: { model, id } }) => errorOf(redis, queues.get(model), id)),
    );
    for (const [i, { entry, costNano }] of step.found.entries()) {
      const error = errors[i];
      if (error === undefined) continue;
      looked += 1;
      const key = JSON.stringify([error.code, error.message.replace(VARYING, '#')]);
      const group = groups.get(key);
      if (group === undefined)
        groups.set(key, { error, count: 1, costNano, model: entry.model, id: entry.id });
      else {
        group.count += 1;
        group.costNano += costNano;
      }
    }
    if (looked >= lookedAtMost || performance.now() >= stopAt) {
      backTo = step.looked.at(-1)?.createdAt;
      break;
    }
  }
  const sorted = [...groups.values()].sort((one, other) => other.count - one.count);
  return {
    groups: await Promise.all(
      sorted.map(async ({ error: { code, message }, count, costNano, model, id }) => ({
        ...{ code, message, count, cost_usd: usdFrom(costNano) ?? 0 },
        newest: (await queues.get(model)?.read(id))?.view,
      })),
    ),
    totals: await totalsOf(redis, queues, tenant, backTo === undefined ? sorted : undefined),
    looked,
    back_to: backTo === undefined ? null : new Date(backTo).toISOString(),
  };
}

/**
 * Adds up groups that are all there is, or asks the index of each code how long it is: a code is one of
 * dozens.
 */
async function totalsOf(
  redis: RedisClient,
  queues: ReadonlyMap<string, ModelQueue>,
  tenant: string | undefined,
  all: readonly Gathered[] | undefined,
): Promise<Failures['totals']> {
  const totals = new Map<string, number>();
  const add = (code: string, count: number): void => {
    totals.set(code, (totals.get(code) ?? 0) + count);
  };
  if (all !== undefined) for (const { error, count } of all) add(error.code, count);
  else if (tenant !== undefined) return undefined;
  else {
    await Promise.all(
      [...queues.values()].map(async ({ keys }) => {
        const codes = await redis.smembers(keys.errorCodes);
        await Promise.all(codes.map(async (code) => add(code, await redis.zcard(keys.errorIndex(code)))));
      }),
    );
  }
  return totals;
}

/** Reads why a job failed; undefined: it has not failed, or was deleted. */
async function errorOf(
  redis: RedisClient,
  queue: ModelQueue | undefined,
  id: string,
): Promise<JobError | undefined> {
  if (queue === undefined) return undefined;
  const [status, json] = await redis.hmget(queue.keys.run(id), 'status', 'error');
  if (status === 'failed' && typeof json === 'string') return JSON.parse(json) as JobError;
  // BullMQ has failed the job by itself, or a cancel ended it.
  const failedReason = await redis.hget(queue.keys.job(id), 'failedReason');
  return failedReason === null || status === 'cancelled' ? undefined : bullmqError(failedReason);
}
