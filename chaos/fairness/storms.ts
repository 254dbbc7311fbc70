import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { sleep } from '../../src/async/sleep.ts';
import { jobNameIn, readLedger } from '../evidence/ledger.ts';
import { exactly, figure, joined, type Report, type Requirement } from '../evidence/report.ts';
import { residentBytes } from '../fleet/child.ts';
import { keyOf } from '../fleet/fleet.ts';
import type { Stage } from '../fleet/stage.ts';
import { percentile } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { CALLS, type CalmPhase, createCalmTenant } from './calm-tenant.ts';
import { STORM_KINDS, type StormKind } from './storm-kinds.ts';
import type { StormOrder } from './storm-thread.ts';
import { countsText, latencyText, megabytes, peakMemory, watchRedis } from './vital-signs.ts';

/** StormsPlan says which storms come, and how large those are that need jobs. */
export interface StormsPlan {
  only: readonly string[] | undefined;
  /** How many jobs the greedy tenant has stored before it lists or acts on them. */
  jobs: number;
  /** How long the greedy tenant storms while the calm one is measured, in milliseconds. */
  stormMs: number;
}

const CALM = 'calm';
const GREEDY = 'greedy';
/** The slots are as few as one storm can fill before the calm tenant is measured. */
const FLEET = { workers: 1, tenants: [CALM, GREEDY], workerEnvironment: { O3Q_CONCURRENCY: '500' } };
const ALONE_MS = 8000;
/** The storm has this time to become one, in milliseconds, before the calm tenant is measured. */
const RISE_MS = 3000;
const THREAD = new URL('./storm-thread.js', import.meta.url);
/** The worst that a storm may do to the calm tenant: the 99th percentile of any of its calls, in milliseconds. */
const MOST_P99_MS = 2000;

/**
 * runStorms lets one tenant ask small questions at a steady pace, first alone, and then beside a tenant that
 * does one thing without end. Each storm has a fleet of its own, with keys and without any configuration of
 * tenants: what bounds the greedy tenant are the defaults.
 */
export async function runStorms(stage: Stage, { only, ...plan }: StormsPlan): Promise<Report> {
  const reports: Report[] = [];
  for (const kind of STORM_KINDS) {
    if (only !== undefined && !only.includes(kind.name)) continue;
    const play = (world: World): Promise<Findings> => storm(world, kind, plan);
    reports.push(await scenario(FLEET, play)(stage));
  }
  return joined(reports);
}

async function storm(
  world: World,
  kind: StormKind,
  { jobs, stormMs }: Pick<StormsPlan, 'jobs' | 'stormMs'>,
): Promise<Findings> {
  const { fleet, signal, progress } = world;
  const pid = fleet.producers[0]?.child.pid ?? 0;
  const calm = createCalmTenant(world, CALM);
  progress(`${kind.name}: the calm tenant alone`);
  // The first answers of new processes take longer.
  await calm.askFor(2000);
  const alone = await calm.askFor(ALONE_MS);

  progress(`${kind.name}: preparing`);
  const greedy = await startGreedy(world, kind, jobs);
  try {
    const before = await residentBytes(pid);
    const ended = new AbortController();
    const memory = peakMemory(pid, ended.signal);
    const redis = watchRedis(fleet.redis.url, ended.signal);
    progress(`${kind.name}: ${kind.what}`);
    greedy.begin();
    await sleep(RISE_MS, signal);
    const beside = await calm.askFor(stormMs);
    const counts = await greedy.end();
    ended.abort();
    const { pings, peakBytes } = await redis;
    const named = (what: string): string => `${kind.name}: ${what}`;
    return {
      requirements: [
        figure(named('the storm'), kind.what),
        ...CALLS.map((call) => latencyRow(named(call), alone.times[call], beside.times[call])),
        exactly(named('failed calls of the calm tenant'), 0, failuresOf(alone) + failuresOf(beside)),
        ...(failuresOf(beside) > 0 ? [figure(named('what failed'), countsText(beside.failures))] : []),
        exactly(
          named('jobs of the calm tenant that were bought twice'),
          0,
          await boughtTwice(world, calm.accepted),
        ),
        figure(
          named('memory of the producer, of Redis'),
          `${megabytes(before)} to ${megabytes(await memory)}, ${megabytes(peakBytes)}`,
        ),
        figure(named('PING of Redis'), latencyText(pings)),
        figure(named("the greedy tenant's calls"), countsText(counts)),
      ],
    };
  } finally {
    await greedy.kill();
  }
}

interface Greedy {
  begin(): void;
  /** Ends the storm. @returns how often what became of the calls. */
  end(): Promise<Map<string, number>>;
  kill(): Promise<void>;
}

/** Starts the thread of the greedy tenant, and waits until it is prepared. */
async function startGreedy({ fleet, signal }: World, { name }: StormKind, jobs: number): Promise<Greedy> {
  const order: StormOrder = { storm: name, url: fleet.producerUrl, key: keyOf(GREEDY), jobs };
  const thread = new Worker(THREAD, { workerData: order });
  // `once` also rejects when the thread has failed.
  const message = async (): Promise<unknown> => (await once(thread, 'message', { signal }))[0];
  try {
    await message();
  } catch (error: unknown) {
    await thread.terminate();
    throw error;
  }
  return {
    begin: () => thread.postMessage('begin'),
    async end() {
      const counts = message();
      thread.postMessage('end');
      return (await counts) as Map<string, number>;
    },
    kill: async () => void (await thread.terminate()),
  };
}

function latencyRow(what: string, alone: readonly number[], beside: readonly number[]): Requirement {
  const text = (times: readonly number[]): string =>
    [0.5, 0.99].map((share) => percentile(times, share).toFixed(0)).join(', ');
  const p99 = percentile(beside, 0.99);
  return {
    what: `${what}: p50, p99 alone; beside`,
    required: `p99 ≤ ${MOST_P99_MS} ms`,
    measured: `${text(alone)}; ${text(beside)} ms of ${beside.length}`,
    met: p99 <= MOST_P99_MS,
  };
}

function failuresOf({ failures }: CalmPhase): number {
  return [...failures.values()].reduce((sum, count) => sum + count, 0);
}

async function boughtTwice({ fleet }: World, names: ReadonlySet<string>): Promise<number> {
  const bought = new Map<string, number>();
  for (const { question } of (await readLedger(fleet.upstreamUrl)).responses) {
    const name = jobNameIn(question);
    if (names.has(name)) bought.set(name, (bought.get(name) ?? 0) + 1);
  }
  return [...bought.values()].filter((count) => count > 1).length;
}
