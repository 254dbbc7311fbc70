import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { type Measurement, scaled } from '../measurement.ts';
import { enqueueBulk, QUESTION } from '../rig/jobs.ts';
import { createMeter } from '../rig/meter.ts';
import { withRig } from '../rig/rig.ts';

const VIEWERS = 50;
/** How often the page Now asks for the state, in milliseconds (producer/console/browser/now-page.tsx). */
const EVERY_MS = 2000;
const LENGTH_MS = 30_000;
/** How many jobs wait meanwhile, behind a worker whose answers take long. */
const JOBS = 500;

/** viewers measures what open pages of the console cost a producer. */
export const viewers: Measurement = {
  name: 'viewers',
  description: `what ${VIEWERS} open pages of the console cost a producer`,
  measure: (stage) =>
    withRig(stage, { workers: 1, thinkMs: 600_000 }, async ({ redis, sides: { ours } }) => {
      const { signal, tally, progress } = stage;
      await enqueueBulk(
        ours,
        Array.from({ length: JOBS }, () => ({ question: QUESTION })),
        signal,
      );
      const pool = new Pool(ours.url, { connections: VIEWERS, pipelining: 1 });
      const look = async (): Promise<void> => {
        const { statusCode, body } = await pool.request({ path: '/console/now', method: 'GET', signal });
        const text = await body.text();
        if (statusCode !== 200) throw new Error(`expected 200 from /console/now, got ${statusCode}: ${text}`);
      };
      const watch = async (lengthMs: number): Promise<void> => {
        // Pages are not opened at the same instant.
        await sleep(Math.random() * EVERY_MS, undefined, { signal });
        for (const startedAt = performance.now(); performance.now() - startedAt < lengthMs; ) {
          await look();
          await sleep(EVERY_MS, undefined, { signal });
        }
      };
      const watchAll = (lengthMs: number) =>
        Promise.all(Array.from({ length: VIEWERS }, () => watch(lengthMs)));
      try {
        progress('warming up');
        await watchAll(scaled(stage, LENGTH_MS, 4000) / 2);
        for (let round = 0; round < stage.rounds; round += 1) {
          progress(`${VIEWERS} pages, round ${round + 1} of ${stage.rounds}`);
          const used = await createMeter(redis, [ours.producer]);
          const startedAt = performance.now();
          await watchAll(scaled(stage, LENGTH_MS, 4000));
          const { processMs, redis: redisUse } = await used();
          const elapsedMs = performance.now() - startedAt;
          tally.add('viewersCpu', 'ours', (100 * processMs) / elapsedMs);
          tally.add('viewersRedis', 'ours', (100 * redisUse.cpuMs) / elapsedMs);
        }
      } finally {
        await pool.destroy();
      }
    }),
};
