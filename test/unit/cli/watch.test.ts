import { createJobWatch, createSingleWatch, createTotals } from '../../../cli/live/job-watch.ts';
import { fitting } from '../../../cli/live/watch-overview.ts';
import { O3ClientError } from '../../../src/client/client-error.ts';
import type { O3Client } from '../../../src/client/o3-client.ts';
import type { JobQuery } from '../../../src/job/job-queue.ts';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import type { ModelView } from '../../../src/models/view.ts';
import type { UsageReport, UsageSums } from '../../../src/usage/report.ts';
import { active, completed, failed, waiting } from '../../support/http/job-views.ts';

/** The lists and jobs of an instance, as one whose jobs are set by hand gives them out. */
function createShelf(pageSize = 100) {
  const jobs = new Map<string, JobView>();
  const asked: string[] = [];
  const reader: Pick<O3Client, 'list' | 'get'> = {
    async list({ status }: JobQuery = {}): Promise<JobPage> {
      const all = [...jobs.values()].filter((job) => status === undefined || job.status === status);
      const newestFirst = all.sort((a, b) => b.created_at.localeCompare(a.created_at));
      return { jobs: newestFirst.slice(0, pageSize), next_cursor: null };
    },
    async get(id) {
      asked.push(id);
      const job = jobs.get(id);
      if (job === undefined) throw new O3ClientError('job_not_found', `Job ${id} not found`);
      return job;
    },
  };
  return { jobs, asked, reader, put: (job: JobView) => jobs.set(job.id, job) };
}

const { signal } = new AbortController();
/** A job of its own time: the larger the number, the newer. */
const made = (number: number, job: JobView): JobView => ({
  ...job,
  id: `job-${number}`,
  created_at: new Date(Date.UTC(2025, 0, 1) + number).toISOString(),
});
const names = (jobs: readonly JobView[]) => jobs.map(({ id, status }) => `${id} ${status}`);

describe('a watch of all jobs', () => {
  it('first reports the unfinished jobs, oldest first, and then each change once', async () => {
    const shelf = createShelf();
    shelf.put(made(1, completed));
    shelf.put(made(2, active));
    shelf.put(made(3, waiting));
    const watch = createJobWatch(shelf.reader);
    const first = await watch.look(signal);
    expect(names(first.changes)).toEqual(['job-2 active', 'job-3 waiting']);
    expect(names(first.jobs)).toEqual(['job-3 waiting', 'job-2 active', 'job-1 completed']);

    expect((await watch.look(signal)).changes).toEqual([]);
    shelf.put(made(2, { ...active, duration_ms: 99_000 }));
    expect((await watch.look(signal)).changes).toEqual([]);

    shelf.put(made(2, completed));
    shelf.put(made(3, active));
    expect(names((await watch.look(signal)).changes)).toEqual(['job-2 completed', 'job-3 active']);
  });

  it('reports another attempt and a cancel that is under way', async () => {
    const shelf = createShelf();
    shelf.put(active);
    const watch = createJobWatch(shelf.reader);
    await watch.look(signal);
    shelf.put({ ...active, attempt: 2 });
    expect((await watch.look(signal)).changes).toHaveLength(1);
    shelf.put({ ...active, attempt: 2, cancelling: true });
    expect((await watch.look(signal)).changes).toHaveLength(1);
  });

  it('reports a job that was created and finished between two looks', async () => {
    const shelf = createShelf();
    shelf.put(made(1, completed));
    const watch = createJobWatch(shelf.reader);
    await watch.look(signal);
    shelf.put(made(2, failed));
    expect(names((await watch.look(signal)).changes)).toEqual(['job-2 failed']);
  });

  it('follows an unfinished job that newer ones have pushed off the page until its end', async () => {
    const shelf = createShelf(2);
    shelf.put(made(1, waiting));
    const watch = createJobWatch(shelf.reader);
    await watch.look(signal);
    for (const number of [2, 3, 4]) shelf.put(made(number, completed));
    shelf.put(made(1, completed));
    expect(names((await watch.look(signal)).changes)).toContain('job-1 completed');

    shelf.asked.length = 0;
    await watch.look(signal);
    expect(shelf.asked).toEqual([]);
  });

  it('reads a few of many such jobs at a time, in turn', async () => {
    const shelf = createShelf(100);
    for (let number = 1; number <= 50; number += 1) shelf.put(made(number, waiting));
    const watch = createJobWatch(shelf.reader);
    await watch.look(signal);
    for (let number = 101; number <= 200; number += 1) shelf.put(made(number, completed));
    for (let look = 0; look < 3; look += 1) await watch.look(signal);
    expect(shelf.asked).toHaveLength(60);
    expect(new Set(shelf.asked).size).toBe(50);
  });

  it('forgets a job that was removed', async () => {
    const shelf = createShelf();
    shelf.put(waiting);
    const watch = createJobWatch(shelf.reader);
    await watch.look(signal);
    shelf.jobs.clear();
    expect(await watch.look(signal)).toMatchObject({ jobs: [], changes: [] });
    expect(shelf.asked).toHaveLength(1);
    await watch.look(signal);
    expect(shelf.asked).toHaveLength(1);
  });
});

describe('a watch of one job', () => {
  it('first reports the state of the job, and then each change', async () => {
    const shelf = createShelf();
    shelf.put(waiting);
    const watch = createSingleWatch(shelf.reader, waiting.id);
    const changes: JobView[] = [];
    for (const job of [waiting, waiting, active, { ...active, duration_ms: 1 }, completed]) {
      shelf.put(job);
      changes.push(...(await watch.look(signal)).changes);
    }
    expect(changes.map(({ status }) => status)).toEqual(['waiting', 'active', 'completed']);
  });
});

describe('the totals of a watch', () => {
  const sums = { requests: 3, cost_usd: 1.5 } as UsageSums;
  const reader = (models: () => Promise<ModelView[]>) => {
    const asked = { models: 0, usage: 0 };
    const client = {
      models: () => {
        asked.models += 1;
        return models();
      },
      usage: async () => {
        asked.usage += 1;
        return { total: sums } as UsageReport;
      },
    };
    return { asked, read: createTotals(client) };
  };

  it('have the models at each look, and the usage of today every ten seconds', async () => {
    const { asked, read } = reader(async () => []);
    expect(await read(signal)).toEqual({ models: [], today: sums });
    expect(await read(signal)).toEqual({ models: [], today: sums });
    expect(asked).toEqual({ models: 2, usage: 1 });
  });

  it('do without the models for a tenant, who is refused once', async () => {
    const { asked, read } = reader(() => Promise.reject(new O3ClientError('forbidden', 'only for admin')));
    for (let look = 0; look < 3; look += 1)
      expect(await read(signal)).toEqual({ models: undefined, today: sums });
    expect(asked.models).toBe(1);
  });

  it('are read only where they are shown', async () => {
    const shelf = createShelf();
    shelf.put(waiting);
    expect((await createJobWatch(shelf.reader).look(signal)).totals).toEqual({
      models: undefined,
      today: undefined,
      hasMore: false,
    });
  });
});

describe('the rows of a terminal', () => {
  const jobs = [
    made(5, completed),
    made(4, { ...waiting, position: 2 }),
    made(3, { ...failed, finished_at: '2025-11-24T00:00:00.000Z' }),
    made(2, active),
    made(1, { ...waiting, position: 1 }),
  ];

  it('go to active jobs, then to waiting ones, the next first, and then to finished ones, the last first', () => {
    expect(names(fitting(jobs, 1))).toEqual(['job-2 active']);
    expect(names(fitting(jobs, 2))).toEqual(['job-2 active', 'job-1 waiting']);
    expect(names(fitting(jobs, 100))).toEqual([
      'job-2 active',
      'job-1 waiting',
      'job-4 waiting',
      'job-3 failed',
      'job-5 completed',
    ]);
  });

  it('show none when there is no row', () => {
    expect(fitting(jobs, -2)).toEqual([]);
  });
});
