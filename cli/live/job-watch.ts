import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import type { ModelView } from '../../src/models/view.ts';
import type { UsageSums } from '../../src/usage/report.ts';

const PAGE = 100;
/** How old the usage of today may be, in milliseconds. */
const USAGE_MS = 10_000;
/** The most jobs that one look reads one by one, besides the two pages. */
const SINGLE_READS = 20;

/** Totals are figures of all jobs, beside those that a look reads. */
export interface Totals {
  /** The state of each model; undefined: the caller is no admin. */
  models: ModelView[] | undefined;
  /** What the answers of today, in UTC, have used; undefined: not known yet. */
  today: UsageSums | undefined;
  /** Whether there are more jobs than the look has read. */
  hasMore: boolean;
}

export interface Look {
  totals: Totals;
  /** The newest jobs and the active ones, newest first. */
  jobs: JobView[];
  /** The jobs that are new or have changed since the last look. */
  changes: JobView[];
}

export interface JobWatch {
  look(signal: AbortSignal): Promise<Look>;
}

/**
 * createJobWatch follows an instance's jobs at a cost that does not grow with their number. Each look reads
 * the page of the newest jobs, the page of active jobs, and some unfinished jobs of earlier looks that are on
 * neither page now.
 *
 * @param readTotals reads figures that the looks show besides; default: none are read.
 */
export function createJobWatch(
  client: Pick<O3Client, 'list' | 'get'>,
  readTotals: TotalsReader = async () => NO_TOTALS,
): JobWatch {
  const known = new Map<string, JobView>();
  /** A job that had already finished before the first look is not reported as a change. */
  let newsSince: string | undefined;

  async function pages(signal: AbortSignal) {
    // The pages are read one after the other: for a job on both, the second page is the newer one.
    const newest = await client.list({ limit: PAGE }, { signal });
    const active = await client.list({ status: 'active', limit: PAGE }, { signal });
    return {
      found: new Map([...newest.jobs, ...active.jobs].map((job) => [job.id, job])),
      hasMore: newest.next_cursor !== null,
    };
  }

  /** The jobs take turns: those that were read the longest time ago come first in `known`. */
  async function unfinishedElsewhere(found: ReadonlyMap<string, JobView>, signal: AbortSignal) {
    const missing = [...known.values()].filter((job) => !found.has(job.id) && !isFinishedJob(job));
    const jobs: JobView[] = [];
    for (const { id } of missing.slice(0, SINGLE_READS)) {
      const job = await client.get(id, { signal }).catch((error: unknown) => {
        if (error instanceof O3ClientError && error.code === 'job_not_found') return undefined;
        throw error;
      });
      if (job === undefined) known.delete(id);
      else jobs.push(job);
    }
    return jobs;
  }

  function isNews(job: JobView): boolean {
    const before = known.get(job.id);
    if (before !== undefined) return stateOf(before) !== stateOf(job);
    return !isFinishedJob(job) || (newsSince !== undefined && job.created_at >= newsSince);
  }

  return {
    async look(signal) {
      const { found, hasMore } = await pages(signal);
      const totals = { ...(await readTotals(signal)), hasMore };
      for (const job of await unfinishedElsewhere(found, signal)) found.set(job.id, job);
      const jobs = [...found.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
      const changes = jobs.filter(isNews).reverse();

      for (const job of known.values()) {
        if (isFinishedJob(job) && !found.has(job.id)) known.delete(job.id);
      }
      for (const job of jobs) {
        known.delete(job.id);
        known.set(job.id, job);
      }
      newsSince ??= jobs[0]?.created_at ?? '';
      return { totals, jobs, changes };
    },
  };
}

type TotalsReader = (signal: AbortSignal) => Promise<Omit<Totals, 'hasMore'>>;
const NO_TOTALS = { models: undefined, today: undefined };

/**
 * createTotals returns a function that reads the totals. Only an admin may read the state of the models.
 * After a refusal it asks no more.
 */
export function createTotals(client: Pick<O3Client, 'models' | 'usage'>): TotalsReader {
  let isAdmin = true;
  let today: UsageSums | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  return async (signal) => {
    if (performance.now() - readAt > USAGE_MS) {
      const day = new Date().toISOString().slice(0, 10);
      today = (await client.usage({ from: day, to: day, by: 'day' }, { signal })).total;
      readAt = performance.now();
    }
    if (!isAdmin) return { models: undefined, today };
    try {
      return { models: await client.models({ signal }), today };
    } catch (error: unknown) {
      if (!(error instanceof O3ClientError) || error.code !== 'forbidden') throw error;
      isAdmin = false;
      return { models: undefined, today };
    }
  };
}

/** createSingleWatch follows one job. */
export function createSingleWatch(client: Pick<O3Client, 'get'>, id: string): JobWatch {
  let shown = '';
  return {
    async look(signal) {
      const job = await client.get(id, { signal });
      const changes = stateOf(job) === shown ? [] : [job];
      shown = stateOf(job);
      return { totals: { ...NO_TOTALS, hasMore: false }, jobs: [job], changes };
    },
  };
}

/** stateOf returns the part of a job whose change is reported. Running time and output are no part of it. */
function stateOf(job: JobView): string {
  return `${job.status} ${job.attempt} ${job.status === 'active' && job.cancelling}`;
}
