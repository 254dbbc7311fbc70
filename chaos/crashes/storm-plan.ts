import { type PlannedJob, planMixedJobs } from '../fleet/job-plan.ts';
import { createRandom, type Random } from '../fleet/random.ts';

/** Something that is broken on purpose. `worker` counts among those that live at that moment. */
export type Disturbance = { atMs: number } & (
  | { kind: 'worker killed'; worker: number }
  | { kind: 'worker deployed'; worker: number }
  | { kind: 'producer killed' }
  | { kind: 'redis killed'; forMs: number }
  | { kind: 'black hole'; towards: 'upstream' | 'redis'; forMs: number }
  | { kind: 'connections reset'; towards: 'upstream' | 'redis' }
);

/** How often each thing happens in a run. */
export type Weather = Record<Disturbance['kind'], number>;

export interface StormPlan {
  jobs: PlannedJob[];
  disturbances: Disturbance[];
}

export interface StormSize {
  durationMs: number;
  jobs: number;
  workers: number;
  /** Whether the upstream tells the ends of responses by webhooks, too: then a purchase that is uncertain is waited for. */
  webhooks: boolean;
  weather: Weather;
}

/** The same seed and size give the same storm. */
export function planStorm(
  seed: number,
  { durationMs, jobs, workers, webhooks, weather }: StormSize,
): StormPlan {
  const random = createRandom(seed);
  const planned = planMixedJobs(random, jobs, { durationMs: durationMs * 0.8, webhooks });
  const kinds = Object.entries(weather) as [Disturbance['kind'], number][];
  const disturbances = kinds.flatMap(([kind, count]) => {
    const slotMs = durationMs / Math.max(1, count);
    // In slots, and over before the next one begins: Redis cannot be killed while it is dead.
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
    default: {
      const never: never = kind;
      throw new Error(`unknown disturbance ${String(never)}`);
    }
  }
}

/** Of a storm of so many minutes. */
export function weatherFor(minutes: number): Weather {
  return {
    'worker killed': 4 * minutes,
    'worker deployed': 2 * minutes,
    'producer killed': minutes,
    'redis killed': minutes,
    'black hole': 2 * minutes,
    'connections reset': 2 * minutes,
  };
}
