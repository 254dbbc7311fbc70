import { findOffences, RULE_COUNT } from '../evidence/checks.ts';
import { type Evidence, gatherEvidence } from '../evidence/evidence.ts';
import { createHistory } from '../evidence/history.ts';
import { uncertainRequirement } from '../evidence/purchases.ts';
import { createCallers } from '../fleet/callers.ts';
import { type Fleet, type FleetWorker, withFleet } from '../fleet/fleet.ts';
import { onTime, pause } from '../fleet/timing.ts';
import { isClean, type Report, type Stage } from '../scenario.ts';
import { type Disturbance, planStorm, type StormSize } from './storm-plan.ts';

/** After the last blow: a lock that runs out, a backoff, the longest answer, and some of them one after the other. */
const CALM_LIMIT_MS = 150_000;

/** Everything at once: jobs of every kind while processes are killed, Redis dies and connections break. */
export function runStorm(stage: Stage, size: StormSize): Promise<Report> {
  return withFleet(stage, { ...size, proxies: true }, (fleet) => storm(stage, size, fleet), isClean);
}

async function storm({ seed, signal, say, progress }: Stage, size: StormSize, fleet: Fleet): Promise<Report> {
  const plan = planStorm(seed, size);
  const history = createHistory();
  const callers = createCallers(fleet, history, signal);
  const over = new AbortController();
  const watching = callers.watch(over.signal);
  // It is waited for at the end; until then an interruption is everybody's.
  watching.catch(() => {});
  const startedAt = Date.now();
  const ticking = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    progress(`${seconds} s: ${history.finished} of ${history.jobs.size} jobs have ended`);
  }, 1000);
  let blows = 0;
  try {
    const strikes = onTime(
      plan.disturbances,
      async (blow) => {
        blows += 1;
        say(`${Math.round(blow.atMs / 1000)} s: ${blowText(blow)}`);
        await strike(blow, fleet, signal);
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
  const evidence = await gatherEvidence(fleet, history, signal);
  const holes = plan.disturbances.map((blow) => (blow.kind === 'black hole' ? blow.forMs : 0));
  const offences = findOffences(evidence, 1000 + Math.max(...holes));
  return {
    requirements: [
      count('jobs planned', plan.jobs.length),
      count('of them accepted', evidence.jobs.filter((job) => job.history.accepted).length),
      { ...count('things broken on purpose', blows), measured: blowCounts(plan.disturbances) },
      ...statusCounts(evidence),
      uncertainRequirement(evidence),
      {
        what: `${RULE_COUNT} rules for each`,
        required: 'none broken',
        measured: `${offences.length} broken`,
        met: offences.length === 0,
      },
    ],
    offences,
    logs: fleet.folder,
  };
}

async function strike(blow: Disturbance, fleet: Fleet, signal: AbortSignal): Promise<void> {
  switch (blow.kind) {
    case 'worker killed': {
      const worker = chosen(fleet, blow.worker);
      if (worker !== undefined) fleet.killWorker(worker);
      await fleet.addWorker();
      return;
    }
    case 'worker deployed': {
      const worker = chosen(fleet, blow.worker);
      await Promise.all([fleet.addWorker(), worker && fleet.stopWorker(worker)]);
      return;
    }
    case 'producer killed':
      return fleet.replaceProducer();
    case 'redis killed':
      await fleet.redis.kill();
      await pause(blow.forMs, signal);
      return fleet.redis.restart();
    case 'black hole': {
      const ways = fleet.workers.flatMap((worker) => worker.ways?.[blow.towards] ?? []);
      for (const way of ways) way.blackHole();
      await pause(blow.forMs, signal);
      for (const way of ways) way.heal();
      return;
    }
    case 'connections reset':
      for (const worker of fleet.workers) worker.ways?.[blow.towards].reset();
      return;
    default: {
      const never: never = blow;
      throw new Error(`unknown disturbance ${JSON.stringify(never)}`);
    }
  }
}

/** undefined: all of them are being replaced at this moment. */
function chosen({ workers }: Fleet, number: number): FleetWorker | undefined {
  return workers[number % Math.max(1, workers.length)];
}

function blowText(blow: Disturbance): string {
  const duration = 'forMs' in blow ? ` for ${(blow.forMs / 1000).toFixed(1)} s` : '';
  return `${blow.kind}${'towards' in blow ? ` towards ${blow.towards}` : ''}${duration}`;
}

function blowCounts(blows: readonly Disturbance[]): string {
  const counts = new Map<string, number>();
  for (const { kind } of blows) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, times]) => `${times} × ${kind}`).join('\n');
}

function count(what: string, value: number): Report['requirements'][number] {
  return { what, required: '', measured: String(value), met: undefined };
}

/** How they ended, failures by their code. */
function statusCounts({ jobs }: Evidence): Report['requirements'] {
  const counts = new Map<string, number>();
  for (const { last } of jobs) {
    const end = last?.status === 'failed' ? `failed: ${last.error.code}` : (last?.status ?? 'unknown');
    counts.set(end, (counts.get(end) ?? 0) + 1);
  }
  return [...counts].toSorted().map(([end, times]) => count(end, times));
}
