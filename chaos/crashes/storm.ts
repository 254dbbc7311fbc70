import { sleep } from '../../src/async/sleep.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { findViolations, RULE_COUNT } from '../evidence/checks.ts';
import type { Evidence } from '../evidence/evidence.ts';
import { uncertainRequirement } from '../evidence/purchases.ts';
import { figure, type Report, type Requirement } from '../evidence/report.ts';
import type { Fleet, FleetWorker } from '../fleet/fleet.ts';
import type { Stage } from '../fleet/stage.ts';
import { onTime } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { FORECAST, skyOver } from '../weather/forecast.ts';
import { type Disturbance, planStorm, type StormSize } from './storm-plan.ts';

/**
 * How long jobs may take after the last disturbance, in milliseconds: the wait for an expiring lock, a
 * backoff and the longest answer may follow each other.
 */
const CALM_LIMIT_MS = 150_000;

/** runStorm plays jobs of every kind while processes are killed, Redis dies and connections break. */
export function runStorm(stage: Stage, size: StormSize): Promise<Report> {
  const { workers, webhooks } = size;
  return scenario({ workers, webhooks, proxies: true }, (world) => storm(world, size))(stage);
}

async function storm(world: World, size: StormSize): Promise<Findings> {
  const { seed, fleet, history, callers, signal, say, progress } = world;
  const plan = planStorm(seed, size);
  const over = new AbortController();
  const watching = callers.watch(over.signal);
  // This promise is awaited at the end. The handler keeps an earlier rejection from being unhandled; another
  // promise reports it.
  watching.catch(() => {});
  const startedAt = Date.now();
  const ticking = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    progress(`${seconds} s: ${history.finished} of ${history.jobs.size} jobs have ended`);
  }, 1000);
  try {
    const strikes = onTime(
      plan.disturbances,
      async (one) => {
        say(`${Math.round(one.atMs / 1000)} s: ${disturbanceText(one)}`);
        await strike(one, fleet, signal);
      },
      signal,
    );
    await Promise.all([strikes, onTime(plan.jobs, callers.ask, signal)]);
    await callers.allFinished(CALM_LIMIT_MS);
    over.abort();
    await watching;
  } finally {
    clearInterval(ticking);
  }
  const evidence = await world.evidence();
  const holes = plan.disturbances.map((one) => (one.kind === 'black hole' ? one.forMs : 0));
  const violations = findViolations(evidence, 1000 + Math.max(...holes));
  return {
    requirements: [
      figure('jobs planned', plan.jobs.length),
      figure('of them accepted', evidence.jobs.filter((job) => job.history.accepted).length),
      figure('disturbances', disturbanceCountsText(plan.disturbances)),
      ...statusCounts(evidence),
      uncertainRequirement(evidence),
      {
        what: `${RULE_COUNT} rules for each job`,
        required: 'none broken',
        measured: `${violations.length} broken`,
        met: violations.length === 0,
      },
    ],
    violations,
  };
}

async function strike(one: Disturbance, fleet: Fleet, signal: AbortSignal): Promise<void> {
  switch (one.kind) {
    case 'worker killed': {
      const worker = chosen(fleet, one.worker);
      if (worker !== undefined) fleet.killWorker(worker);
      await fleet.addWorker();
      return;
    }
    case 'worker deployed': {
      const worker = chosen(fleet, one.worker);
      await Promise.all([fleet.addWorker(), worker && fleet.stopWorker(worker)]);
      return;
    }
    case 'producer killed':
      return fleet.replaceProducer();
    case 'redis killed':
      await fleet.redis.kill();
      await sleep(one.forMs, signal);
      return fleet.redis.restart();
    case 'black hole': {
      const proxies = fleet.workers.flatMap((worker) => worker.proxies?.[one.towards] ?? []);
      for (const way of proxies) way.blackHole();
      await sleep(one.forMs, signal);
      for (const way of proxies) way.heal();
      return;
    }
    case 'weather':
      return passWeather(one, fleet, signal);
    case 'connections reset':
      for (const worker of fleet.workers) worker.proxies?.[one.towards].reset();
      return;
    default: {
      const never: never = one;
      throw new Error(`unknown disturbance ${JSON.stringify(never)}`);
    }
  }
}

/**
 * Lets one weather begin and end. If Redis is killed during the weather, the new Redis no longer has what the
 * weather changed in the old one.
 */
async function passWeather(
  { name, forMs }: Extract<Disturbance, { kind: 'weather' }>,
  fleet: Fleet,
  signal: AbortSignal,
): Promise<void> {
  const weather = FORECAST.find((one) => one.name === name);
  if (weather === undefined) throw new Error(`expected a weather of the forecast, got ${name}`);
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  try {
    const sky = skyOver(fleet, redis);
    await weather.begin(sky, forMs);
    await sleep(forMs, signal);
    await weather.end(sky);
  } finally {
    redis.disconnect();
  }
}

/** Returns the worker of a disturbance; undefined: all workers are being replaced at this moment. */
function chosen({ workers }: Fleet, number: number): FleetWorker | undefined {
  return workers[number % Math.max(1, workers.length)];
}

function disturbanceText(one: Disturbance): string {
  const duration = 'forMs' in one ? ` for ${(one.forMs / 1000).toFixed(1)} s` : '';
  const what = one.kind === 'weather' ? `weather, ${one.name}` : one.kind;
  return `${what}${'towards' in one ? ` towards ${one.towards}` : ''}${duration}`;
}

function disturbanceCountsText(disturbances: readonly Disturbance[]): string {
  const counts = new Map<string, number>();
  for (const { kind } of disturbances) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, times]) => `${times} × ${kind}`).join('\n');
}

/** How many jobs ended in each status, failures by their code. */
function statusCounts({ jobs }: Evidence): Requirement[] {
  const counts = new Map<string, number>();
  for (const { last } of jobs) {
    const end = last?.status === 'failed' ? `failed: ${last.error.code}` : (last?.status ?? 'unknown');
    counts.set(end, (counts.get(end) ?? 0) + 1);
  }
  return [...counts].toSorted().map(([end, times]) => figure(end, times));
}
