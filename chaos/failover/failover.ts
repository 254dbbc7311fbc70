import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import { isFinished } from '../../src/job/job.ts';
import type { Ack } from '../../src/redis/ack/level.ts';
import { readLedger } from '../evidence/ledger.ts';
import { placesOf } from '../evidence/places.ts';
import { joined, type Report, seconds } from '../evidence/report.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { findingsOf } from './findings.ts';
import { startSteadyCallers } from './steady-callers.ts';
import {
  BACKGROUND,
  FOREGROUND,
  type StartedVariant,
  type Strike,
  type StrikeTimes,
  VARIANTS,
  type Variant,
} from './variants.ts';

/** FailoverSize says which variants are played, and for how long. */
export interface FailoverSize extends StrikeTimes {
  variants: readonly Variant[];
  /** The values of `O3Q_ACK` with which each variant is played. Default: `memory`. */
  acks?: readonly Ack[];
  perSecond: number;
  /**
   * How long callers enqueue before the fault (`beforeMs`) and after Redis is back (`afterMs`), in
   * milliseconds.
   */
  beforeMs: number;
  afterMs: number;
  /** How long the longest answers take, in milliseconds. */
  longestMs: number;
}

/** FULL_FAILOVER has answers and outages that take longer than a lock lasts. */
export const FULL_FAILOVER: FailoverSize = {
  variants: VARIANTS,
  perSecond: 12,
  beforeMs: 5000,
  afterMs: 12_000,
  awayMs: 15_000,
  lagMs: 5000,
  longestMs: 14_000,
};

const WORKERS = 2;
const ENDED_LIMIT_MS = 90_000;
const FLEET_MODELS = [BACKGROUND, FOREGROUND];
const CONFIG = {
  defaultModel: BACKGROUND,
  models: {
    [BACKGROUND]: { background: 'always' },
    // The jobs of this model run in the foreground, as they do at a server without background mode.
    [FOREGROUND]: { upstream: BACKGROUND, background: 'never' },
  },
};

/** runFailover plays each variant on a fleet of its own, one after the other. */
export async function runFailover(stage: Stage, size: FailoverSize = FULL_FAILOVER): Promise<Report> {
  const reports: Report[] = [];
  const { acks = ['memory'] } = size;
  for (const one of size.variants) {
    for (const ack of acks) {
      const variant = acks.length === 1 ? one : { ...one, name: `${one.name} with ${ack}` };
      stage.say(`${variant.name}: ${variant.what}`);
      const started = await variant.start();
      const play = (world: World): Promise<Findings> => failover(world, variant, started, { ...size, ack });
      const { redis } = started;
      const options = { workers: WORKERS, config: CONFIG, ack, ...(redis !== undefined && { redis }) };
      reports.push(await scenario(options, play)(stage));
    }
  }
  return joined(reports);
}

async function failover(
  world: World,
  variant: Variant,
  started: StartedVariant,
  size: FailoverSize & { ack: Ack },
): Promise<Findings> {
  const { fleet, history, signal, progress } = world;
  const steady = startSteadyCallers(world, size);
  let strike: Strike;
  try {
    await sleep(size.beforeMs, signal);
    progress(`${variant.name}: the fault`);
    strike = await started.strike(world, size);
    world.say(`${variant.name}: Redis can be used again after ${seconds(strike.backAt - strike.faultAt)}`);
    await sleep(size.afterMs / 2, signal);
    await started.bringBack();
    await sleep(size.afterMs / 2, signal);
  } finally {
    await steady.stop();
  }
  progress(`${variant.name}: waiting for the answers of ${history.jobs.size} jobs`);
  if (!(await becomes(() => haveEnded(world), ENDED_LIMIT_MS, signal, 500))) await notePlaces(world);
  const evidence = await world.evidence();
  const { responses } = await readLedger(fleet.upstreamUrl);
  return findingsOf({ variant, ack: size.ack, strike, asked: steady.asked, evidence, responses });
}

/** Writes into the folder of the logs where in Redis the jobs stand that have not ended. */
async function notePlaces({ fleet, history, say }: World): Promise<void> {
  const open = [...history.jobs.values()].filter(({ ends }) => ends.length === 0);
  const ids = open.flatMap(({ id }) => FLEET_MODELS.map((model) => `${model}:${id}`));
  const path = join(fleet.folder, 'open-jobs.json');
  const places = [...(await placesOf(fleet.redis.url, ids))].filter(
    ([, found]) => Object.keys(found).length > 0,
  );
  await writeFile(path, JSON.stringify({ now: Date.now(), places: Object.fromEntries(places) }, null, 2));
  say(`Jobs have not ended. Their places in Redis: ${path}`);
}

/** Returns whether each accepted job has ended, or is gone because Redis lost it. */
async function haveEnded({ fleet, history }: World): Promise<boolean> {
  const open = [...history.jobs.values()].filter(({ ends }) => ends.length === 0);
  for (const { id = '' } of open) {
    try {
      const view = await fleet.client.get(id);
      history.saw(view);
      if (!isFinished(view.status)) return false;
    } catch (error: unknown) {
      if (!(error instanceof O3ClientError)) throw error;
      if (error.status !== 404) return false;
    }
  }
  return true;
}
