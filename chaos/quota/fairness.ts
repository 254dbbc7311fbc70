import { defaultModels } from '../../src/config/file.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { figure } from '../evidence/figure.ts';
import { jobNameIn, readLedger } from '../evidence/ledger.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import { isClean, type Report, type Stage } from '../scenario.ts';
import { lineCost } from './fair-queue-cost.ts';
import { startsOff } from './fair-turn.ts';

const STARTS_PER_SECOND = 20;
const WORKERS = 2;
const FIRST = 'ann';
const SECOND = 'ben';
const BACKLOG = 10_000;
const ADDED = 20;
const BULK = 1000;
const BULKS_AT_ONCE = 2;
/** So many have been started before the second tenant comes. */
const BEFORE = 150;
const MOST_STARTS_OFF = 2;
const LIMIT_MS = 60_000;

/** How much a start of the second tenant weighs, where the first one weighs 1. */
const WEIGHTS = [1, 3];

/** A tenant with ten thousand jobs, another one with twenty, and what a long line costs. */
export async function runFairness(stage: Stage, waiting: number): Promise<Report> {
  const reports: Report[] = [];
  for (const weight of WEIGHTS) {
    reports.push(
      await withFleet(
        stage,
        {
          workers: WORKERS,
          webhooks: false,
          proxies: false,
          tenants: [FIRST, SECOND],
          config: {
            models: { o3: { requestsPerMinute: STARTS_PER_SECOND * 60 } },
            tenants: { [FIRST]: { weight: 1 }, [SECOND]: { weight } },
          },
        },
        (fleet) => fairness(stage, fleet, weight),
        isClean,
      ),
    );
  }
  reports.push(await lineCost(stage, waiting));
  return {
    requirements: reports.flatMap(({ requirements }) => requirements),
    offences: reports.flatMap(({ offences }) => offences),
    logs: reports.map(({ logs }) => logs).join(' '),
  };
}

async function fairness({ signal, progress }: Stage, fleet: Fleet, weight: number): Promise<Report> {
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
    // What has been saved up since the first of them is gone by then, and starts are even.
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
          `${FIRST}'s waiting jobs when ${SECOND} came, and at the end`,
          `${BACKLOG - before}, ${waiting}`,
        ),
        {
          what: `weights 1:${weight}: starts of ${SECOND}, and how far from its fair turn the worst one was`,
          required: `${ADDED}, ≤ ${MOST_STARTS_OFF} starts`,
          measured: `${off.length}, ${worst.toFixed(1)} starts`,
          met: off.length === ADDED && worst <= MOST_STARTS_OFF,
        },
        figure(
          `${SECOND}'s places at the upstream, after those before it came`,
          places()
            .map((place) => place - before)
            .join(' '),
        ),
      ],
      offences: [],
      logs: fleet.folder,
    };
  } finally {
    redis.disconnect();
  }
}
