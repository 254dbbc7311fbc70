import { inTurns, type Measurement, scaled } from '../measurement.ts';
import { applyLoad, type Load } from '../rig/http-load.ts';
import { QUESTION } from '../rig/jobs.ts';
import { createMeter } from '../rig/meter.ts';
import { withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const CALLERS = 50;
const WARM_UP_REQUESTS = 3000;
const LOAD_MS = 6000;

/** accept measures how fast a producer accepts jobs. No worker runs, so that nothing else takes CPU time. */
export const accept: Measurement = {
  name: 'accept',
  description: 'accepting jobs over HTTP from 50 callers, without a worker',
  measure: (stage) =>
    withRig(stage, {}, async ({ redis, sides }) => {
      const { tally, signal } = stage;
      const loadOn = (side: Side, until: Load['until']) =>
        applyLoad({
          url: side.url,
          path: '/jobs',
          body: { question: QUESTION },
          expected: 202,
          callers: CALLERS,
          until,
          signal,
        });
      for (const side of Object.values(sides)) {
        await loadOn(side, { requests: scaled(stage, WARM_UP_REQUESTS, 200) });
      }
      await inTurns(stage, 'accepting jobs', async (name) => {
        const side = sides[name];
        const used = await createMeter(redis, [side.producer]);
        const load = await loadOn(side, { ms: scaled(stage, LOAD_MS, 500) });
        const { redis: redisUse, processMs } = await used();
        tally.add('acceptPerSecond', name, load.perSecond);
        tally.add('acceptP50', name, load.p50Ms);
        tally.add('acceptP99', name, load.p99Ms);
        tally.add('acceptProducer', name, processMs / load.requests);
        tally.add('acceptRedis', name, (redisUse.cpuMs * 1000) / load.requests);
      });
    }),
};
