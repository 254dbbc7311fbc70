import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';

const PAGE = 100;
/** The most jobs that one look reads one by one, besides the two pages. */
const SINGLE_READS = 20;

export interface Look {
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
 */
export function createJobWatch(client: Pick<O3Client, 'list' | 'get'>): JobWatch {
  const known = new Map<string, JobView>();
  /** A job that had already finished before the first look is not reported as a change. */
  let newsSince: string | undefined;

  async function pages(signal: AbortSignal): Promise<Map<string, JobView>> {
    // The pages are read one after the other: for a job on both, the second page is the newer one.
    const newest = await client.list({ limit: PAGE }, { signal });
    const active = await client.list({ status: 'active', limit: PAGE }, { signal });
    return new Map([...newest.jobs, ...active.jobs].map((job) => [job.id, job]));
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
      const found = await pages(signal);
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
      return { jobs, changes };
    },
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
      return { jobs: [job], changes };
    },
  };
}

/** stateOf returns the part of a job whose change is reported. Running time and output are no part of it. */
function stateOf(job: JobView): string {
  return `${job.status} ${job.attempt} ${job.status === 'active' && job.cancelling}`;
}

/**
 * fitting chooses the jobs for the rows: active before waiting before finished jobs. It keeps their order.
 */
export function fitting(jobs: readonly JobView[], rows: number): JobView[] {
  const rank = (job: JobView) => (job.status === 'active' ? 0 : isFinishedJob(job) ? 2 : 1);
  const chosen = new Set([...jobs].sort((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, rows)));
  return jobs.filter((job) => chosen.has(job));
}
