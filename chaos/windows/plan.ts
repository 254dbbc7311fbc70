import { jobName, type PlannedJob } from '../fleet/job-plan.ts';
import type { Random } from '../fleet/random.ts';
import { randomTokens, requestOfSize } from '../quota/job-sizes.ts';

/** WindowsSize says how large a run is. All hours are hours of the scaled clock. */
export interface WindowsSize {
  jobs: number;
  /** How many times faster than the real time the clock of completion windows runs. */
  scale: number;
  /** Over how many hours the jobs are enqueued. */
  enqueuedOverHours: number;
  /** How many hours after its enqueueing a job's answer is needed. */
  neededAfterHours: { least: number; most: number };
}

/** TimedJob is a planned job with the time by which its answer is needed, in Unix milliseconds. */
export interface TimedJob extends PlannedJob {
  neededBy: number;
}

const HOUR_MS = 3_600_000;
/** The sizes of the jobs, in tokens. 1,500 tokens cost about a cent. */
const TOKENS = { median: 1300, least: 300, most: 6000 };
/** How often the upstream does each of these things. */
const FAULT_SHARES = { window_missed: 0.04, window_early: 0.06, webhook_lost: 0.1 };

/** planWindowedJobs plans jobs whose answers are needed at times that are spread evenly. */
export function planWindowedJobs(
  random: Random,
  { jobs, scale, enqueuedOverHours, neededAfterHours }: WindowsSize,
  { model, startAt }: { model: string; startAt: number },
): TimedJob[] {
  const realMs = (hours: number): number => Math.round((hours * HOUR_MS) / scale);
  return Array.from({ length: jobs }, (_, index) => {
    const name = jobName(index);
    const atMs = random.between(0, realMs(enqueuedOverHours));
    const afterMs = random.between(realMs(neededAfterHours.least), realMs(neededAfterHours.most));
    const tokens = randomTokens(random, TOKENS);
    const faults = faultsFrom(random);
    const cached = Math.floor((tokens / 5) * random.pick([0, 0.5]));
    const written = Math.floor((tokens / 5) * random.pick([0, 0.4]));
    const neededBy = startAt + atMs + afterMs;
    return {
      ...{ name, atMs, neededBy, cancelAfterMs: undefined },
      request: {
        ...requestOfSize(name, tokens, {
          sim_cached_tokens: String(cached),
          sim_cache_write_tokens: String(written),
          sim_cache_write_12h_tokens: String(Math.floor(written * random.pick([0, 0.5]))),
          ...(faults !== '' && { sim: faults }),
        }),
        model,
        needed_by: new Date(neededBy).toISOString(),
      },
    };
  });
}

/** Returns the faults of one response, as the simulator takes them. No window is both missed and early. */
function faultsFrom(random: Random): string {
  const { window_missed: missed, window_early: early, webhook_lost: lost } = FAULT_SHARES;
  const place = random.between(1, 1000) / 1000;
  const window = place <= missed ? ['window_missed'] : place <= missed + early ? ['window_early'] : [];
  return [...window, ...(random.chance(lost) ? ['webhook_lost'] : [])].join(', ');
}
