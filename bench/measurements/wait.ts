import { inTurns, type Measurement, scaled } from '../measurement.ts';
import { applyLoad } from '../rig/http-load.ts';
import { QUESTION } from '../rig/jobs.ts';
import { withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const WARM_UP_JOBS = 100;
const JOBS = 300;

/** wait measures a caller who asks for one instant answer after another, each in one call. */
export const wait: Measurement = {
  name: 'wait',
  description: 'one caller who waits for an instant answer, then asks for the next',
  measure: (stage) =>
    withRig(stage, { workers: 1 }, async ({ sides }) => {
      const ask = (side: Side, requests: number) =>
        applyLoad({
          url: side.url,
          path: '/jobs?wait=60',
          body: { question: QUESTION },
          expected: 200,
          callers: 1,
          until: { requests },
          signal: stage.signal,
        });
      for (const side of Object.values(sides)) await ask(side, scaled(stage, WARM_UP_JOBS, 5));
      await inTurns(stage, 'waiting for one job at a time', async (name) => {
        const { p50Ms, p99Ms } = await ask(sides[name], scaled(stage, JOBS, 10));
        stage.tally.add('waitP50', name, p50Ms);
        stage.tally.add('waitP99', name, p99Ms);
      });
    }),
};
