import { defaultModels } from '../../src/config/file.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { jobNameIn, readLedger } from '../evidence/ledger.ts';
import { figure, joined, type Report } from '../evidence/report.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { fairQueueCost } from './fair-queue-cost.ts';

const STARTS_PER_SECOND = 20;
const WORKERS = 2;
const FIRST = 'ann';
const SECOND = 'ben';
const BACKLOG = 10_000;
const ADDED = 20;
const BULK = 1000;
const BULKS_AT_ONCE = 2;
/** How many jobs are started before the second tenant comes. */
const BEFORE = 150;
const MOST_STARTS_OFF = 2;
const LIMIT_MS = 60_000;

/** The weights of the second tenant, one for each run. The first tenant has weight 1. */
const WEIGHTS = [1, 3];

/**
 * runFairness lets a tenant with ten thousand jobs and one with twenty share a model, and measures what a
 * long queue costs.
 */
export async function runFairness(stage: Stage, waiting: number): Promise<Report> {
  const reports: Report[] = [];
  for (const weight of WEIGHTS) {
    const options = {
      workers: WORKERS,
      tenants: [FIRST, SECOND],
      config: {
        models: { o3: { requestsPerMinute: STARTS_PER_SECOND * 60 } },
        tenants: { [FIRST]: { weight: 1 }, [SECOND]: { weight } },
      },
    };
    reports.push(await scenario(options, (world) => fairness(world, weight))(stage));
  }
  reports.push(await fairQueueCost(stage, waiting));
  return joined(reports);
}

async function fairness({ fleet, signal, progress }: World, weight: number): Promise<Findings> {
  const enqueue = async (tenant: string, count: number): Promise<void> => {
    const requests = Array.from({ length: count }, () => ({
      question: `${tenant} asks for the next one`,
      metadata: { sim_think_ms: '1000', sim_deltas: '1' },
    }));
    for (const outcome of await fleet.clientOf(tenant).enqueueBulk(requests, { signal }))
      if (!outcome.ok) throw outcome.error;
  };
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  try {
    const clock = keysOf('o3q', defaultModels().defaultModel).fairQueue('clock');
    const starts = async (): Promise<number> => Number((await redis.hget(clock, 'starts')) ?? 0);

    progress(`1:${weight}: ${BACKLOG} jobs of ${FIRST}`);
    const bulks = Array.from({ length: BACKLOG / BULK }, () => BULK);
    await inParallel(bulks, BULKS_AT_ONCE, (count) => enqueue(FIRST, count));
    // By then the quota's initial burst is over, and starts come evenly.
    const firstLook = await starts();
    await becomes(async () => (await starts()) >= firstLook + BEFORE, LIMIT_MS, signal);
    const before = await starts();
    await enqueue(SECOND, ADDED);
    const after = await starts();
    progress(`1:${weight}: ${ADDED} jobs of ${SECOND}`);

    let order: string[] = [];
    const places = (): number[] => order.flatMap((tenant, place) => (tenant === SECOND ? [place] : []));
    const allStarted = async (): Promise<boolean> => {
      order = (await readLedger(fleet.upstreamUrl)).responses.map(({ question }) => jobNameIn(question));
      return places().length >= ADDED;
    };
    await becomes(allStarted, LIMIT_MS, signal, 500);
    const waiting = BACKLOG + ADDED - order.length;
    const off = places().map((place, turn) => startsOff({ place, turn, before, after, weight }));
    const worst = Math.max(0, ...off);
    return {
      requirements: [
        figure(
          `waiting jobs of ${FIRST} when ${SECOND} came, and at the end`,
          `${BACKLOG - before}, ${waiting}`,
        ),
        {
          what: `weights 1:${weight}: starts of ${SECOND}, and how far the worst one was from its fair turn`,
          required: `${ADDED}, ≤ ${MOST_STARTS_OFF} starts`,
          measured: `${off.length}, ${worst.toFixed(1)} starts`,
          met: off.length === ADDED && worst <= MOST_STARTS_OFF,
        },
        figure(
          `positions of ${SECOND}'s creates at the upstream, counted from when it came`,
          places()
            .map((place) => place - before)
            .join(' '),
        ),
      ],
    };
  } finally {
    redis.disconnect();
  }
}

/** Start is one start of a tenant's job while jobs of other tenants were waiting. */
export interface Start {
  /** The place of the start in the order of creates at the upstream, from 0. */
  place: number;
  /** The number of the start among the tenant's own starts, from 0. */
  turn: number;
  /** How many jobs of all tenants had started when the tenant's jobs were sent. */
  before: number;
  /** How many jobs of all tenants had started when that request was answered. */
  after: number;
  /** The tenant's weight; the others together have weight 1. */
  weight: number;
}

/**
 * startsOff says by how many starts a start is away from its fair turn. Once the tenant has come, its share
 * of all starts is `weight / (weight + 1)`, so that one of its starts is due in each slot of `1 / share`
 * starts. A start is too early before its slot begins, and too late after its slot has ended.
 */
export function startsOff({ place, turn, before, after, weight }: Start): number {
  const slot = (weight + 1) / weight;
  return Math.max(0, before + turn * slot - place, place - (after + (turn + 1) * slot));
}
