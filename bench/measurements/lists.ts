import { percentile } from '../../chaos/fleet/timing.ts';
import type { JobPage } from '../../src/job/view.ts';
import { type BenchStage, type Measurement, scaled } from '../measurement.ts';
import type { FigureName } from '../report/figures.ts';
import { growTo } from '../rig/finished-jobs.ts';
import { enqueueBulk, QUESTION, untilFinished } from '../rig/jobs.ts';
import { OUR_MODEL, withRig } from '../rig/rig.ts';

/** How many jobs really run. The others are copies of them. */
const REAL_JOBS = 100;
const READS = 200;
const WARM_UP_READS = 100;
/** A search may take its whole time, 300 ms. */
const SEARCHES = 10;
const SEARCH = '/jobs?q=in-no-question';
/** How many finished jobs there are, and how the figures call it. */
const SIZES = [
  { jobs: 1000, suffix: '1k' },
  { jobs: 100_000, suffix: '100k' },
  { jobs: 1_000_000, suffix: '1m' },
] as const;
/** The pages that are read, with the page of a job at `:id`. */
const PAGES = {
  list: '/jobs',
  job: '/jobs/:id',
  board: `/board/api/queues?activeQueue=${OUR_MODEL}&status=completed&page=1&jobsPerPage=10`,
  console: '/console/jobs/:id',
  now: '/',
  jobs: '/console/jobs',
  failures: '/console/failures',
  cost: '/console/cost',
  tenants: '/console/tenants',
} as const;

/** lists measures how the number of finished jobs slows lists and pages. */
export const lists: Measurement = {
  name: 'lists',
  description: 'lists and pages beside 1,000, 100,000 and 1,000,000 finished jobs',
  measure: (stage) =>
    withRig(stage, { workers: 1 }, async (rig) => {
      const { redis, sides } = rig;
      const { ours } = sides;
      const { signal, tally, progress } = stage;
      const jobs = Array.from({ length: REAL_JOBS }, (_, i) => ({ question: QUESTION, stream: i % 2 === 0 }));
      await enqueueBulk(ours, jobs, signal);
      await untilFinished(rig, ours, REAL_JOBS, signal);
      const ids = await redis.zrange(ours.finished.completed, '0', '-1');
      // The append-only file would be rewritten again and again while the copies are made.
      await redis.config('SET', 'auto-aof-rewrite-percentage', '0');

      const before = await usedKb(redis);
      for (const page of Object.values(PAGES)) {
        for (let i = 0; i < scaled(stage, WARM_UP_READS, 3); i += 1)
          await read(stage, ours.url, page, ids[0]);
      }
      for (const { jobs, suffix } of SIZES) {
        if (jobs > stage.mostFinished) break;
        await growTo(redis, ids, jobs, (finished) => {
          signal.throwIfAborted();
          progress(`${finished} of ${jobs} finished jobs`);
        });
        if (jobs > REAL_JOBS && suffix === '1k') {
          tally.add('storedKb', 'ours', ((await usedKb(redis)) - before) / (jobs - REAL_JOBS));
        }
        for (let round = 0; round < stage.rounds; round += 1) {
          progress(`reading beside ${jobs} finished jobs, round ${round + 1} of ${stage.rounds}`);
          for (const [name, path] of Object.entries(PAGES)) {
            const times: number[] = [];
            for (let i = 0; i < scaled(stage, READS, 5); i += 1) {
              times.push((await read(stage, ours.url, path, ids[i % ids.length])).ms);
            }
            tally.add(
              `${name as keyof typeof PAGES}${suffix}` satisfies FigureName,
              'ours',
              percentile(times, 0.5),
            );
          }
          const [times, counts]: [number[], number[]] = [[], []];
          for (let i = 0; i < scaled(stage, SEARCHES, 2); i += 1) {
            const { ms, text } = await read(stage, ours.url, SEARCH);
            times.push(ms);
            counts.push((JSON.parse(text) as JobPage).searched?.jobs ?? 0);
          }
          tally.add(`search${suffix}`, 'ours', percentile(times, 0.5));
          tally.add(`searched${suffix}`, 'ours', percentile(counts, 0.5));
        }
      }
    }),
};

/** Reads a page. @returns its text, and how long it took, in milliseconds. */
async function read(
  { signal }: BenchStage,
  url: string,
  path: string,
  id = '',
): Promise<{ ms: number; text: string }> {
  const startedAt = performance.now();
  const answer = await fetch(new URL(path.replace(':id', id), url), {
    headers: { accept: 'text/html, application/json' },
    signal,
  });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`expected 200 from ${path}, got ${answer.status}: ${text}`);
  return { ms: performance.now() - startedAt, text };
}

async function usedKb(redis: { info(section: string): Promise<string> }): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]) / 1024;
}
