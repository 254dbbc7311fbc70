import { type PlannedJob, planMixedJobs } from '../fleet/job-plan.ts';
import { createRandom, type Random } from '../fleet/random.ts';
import { FORECAST } from '../weather/forecast.ts';

/**
 * Disturbance is something that is broken on purpose. `worker` is an index into the workers that live at that
 * moment.
 */
export type Disturbance = { atMs: number } & (
  | { kind: 'worker killed'; worker: number }
  | { kind: 'worker deployed'; worker: number }
  | { kind: 'producer killed' }
  | { kind: 'redis killed'; forMs: number }
  | { kind: 'black hole'; towards: 'upstream' | 'redis'; forMs: number }
  | { kind: 'connections reset'; towards: 'upstream' | 'redis' }
  | { kind: 'weather'; name: string; forMs: number }
);

/** DisturbanceCounts say how often each kind of disturbance happens in a storm. */
export type DisturbanceCounts = Record<Disturbance['kind'], number>;

/** StormPlan lists everything that happens in a storm, and when it happens. */
export interface StormPlan {
  jobs: PlannedJob[];
  disturbances: Disturbance[];
}

/** StormSize says how long a storm lasts, and how much happens in it. */
export interface StormSize {
  durationMs: number;
  jobs: number;
  workers: number;
  /**
   * Whether the upstream also sends webhooks. A worker can then learn the outcome of an uncertain purchase.
   */
  webhooks: boolean;
  counts: DisturbanceCounts;
}

/** planStorm makes the same plan for the same seed and size. */
export function planStorm(
  seed: number,
  { durationMs, jobs, workers, webhooks, counts }: StormSize,
): StormPlan {
  const random = createRandom(seed);
  const planned = planMixedJobs(random, jobs, { durationMs: durationMs * 0.8, webhooks });
  const kinds = Object.entries(counts) as [Disturbance['kind'], number][];
  const disturbances = kinds.flatMap(([kind, count]) => {
    const slotMs = durationMs / Math.max(1, count);
    // Each disturbance has a slot, and is over before the next slot begins: a Redis that is already dead
    // cannot be killed.
    return Array.from({ length: count }, (_, slot) => {
      const atMs = Math.round(slot * slotMs + random.between(0, slotMs / 2));
      return disturbance(random, kind, { atMs, workers, longestMs: slotMs / 3 });
    });
  });
  return { jobs: planned, disturbances: disturbances.sort((left, right) => left.atMs - right.atMs) };
}

interface Limits {
  atMs: number;
  workers: number;
  longestMs: number;
}

function disturbance(random: Random, kind: Disturbance['kind'], limits: Limits): Disturbance {
  const { atMs, workers } = limits;
  const towards = random.chance(0.5) ? 'upstream' : 'redis';
  const forMs = Math.round(Math.min(limits.longestMs, random.between(1000, 8000)));
  switch (kind) {
    case 'worker killed':
    case 'worker deployed':
      return { kind, atMs, worker: random.between(0, workers - 1) };
    case 'producer killed':
      return { kind, atMs };
    case 'redis killed':
      return { kind, atMs, forMs };
    case 'black hole':
      return { kind, atMs, towards, forMs };
    case 'connections reset':
      return { kind, atMs, towards };
    case 'weather':
      return { kind, atMs, name: random.pick(FORECAST).name, forMs };
    default: {
      const never: never = kind;
      throw new Error(`unknown disturbance ${String(never)}`);
    }
  }
}

/** disturbanceCounts says how often each kind of disturbance happens in a storm of this many minutes. */
export function disturbanceCounts(minutes: number): DisturbanceCounts {
  return {
    'worker killed': 4 * minutes,
    'worker deployed': 2 * minutes,
    'producer killed': minutes,
    'redis killed': minutes,
    'black hole': 2 * minutes,
    'connections reset': 2 * minutes,
    weather: 2 * minutes,
  };
}
