import { callsPerJob, countCommands, OUR_SCRIPTS, sumOfCalls } from '../../chaos/fleet/command-counter.ts';
import { sleep } from '../../src/async/sleep.ts';
import { inTurns, type Measurement, scaled } from '../measurement.ts';
import { applyLoad } from '../rig/http-load.ts';
import { QUESTION } from '../rig/jobs.ts';
import { withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const JOBS = 4;
/** As in `npm run chaos -- commands`: long enough for a stream of several pieces. */
const THINK_MS = 1500;
/** How long after a job a worker may take to write its last record of it, in milliseconds. */
const QUIET_MS = 1500;
const IDLE_MS = 6000;
/** A script belongs to a job if a job calls it at least so often, beyond the calls without jobs. */
const FEWEST_CALLS = 0.7;

/** commands counts what one job sends to Redis, beyond what both sides send without jobs. */
export const commands: Measurement = {
  name: 'commands',
  description: 'commands and scripts of a plain job that runs alone',
  measure: (stage) =>
    withRig(stage, { workers: 1, thinkMs: THINK_MS }, async ({ fleet, sides }) => {
      const { signal, tally, progress } = stage;
      const counter = await countCommands(fleet.redis.url);
      try {
        const ask = (side: Side, requests: number) =>
          applyLoad({
            url: side.url,
            path: '/jobs?wait=60',
            body: { question: QUESTION },
            expected: 200,
            callers: 1,
            until: { requests },
            signal,
          });
        for (const side of Object.values(sides)) await ask(side, 1);
        await sleep(QUIET_MS, signal);
        progress('counting commands: without jobs');
        const idle = await counter.during(() => sleep(scaled(stage, IDLE_MS, 2000), signal));
        await inTurns(stage, 'counting commands', async (name) => {
          const jobs = scaled(stage, JOBS, 3);
          const busy = await counter.during(async () => {
            await ask(sides[name], jobs);
            await sleep(QUIET_MS, signal);
          });
          const perJob = callsPerJob(busy, idle, jobs);
          tally.add('commands', name, sumOfCalls(perJob));
          if (name === 'bare') return;
          const scripts = perJob.filter(
            ([command, calls]) => OUR_SCRIPTS.has(command) && calls >= FEWEST_CALLS,
          );
          tally.add('scriptCalls', name, sumOfCalls(scripts));
          tally.add('scripts', name, scripts.length);
          stage.say(scripts.map(([script, calls]) => `${script} ${calls.toFixed(1)}`).join(', '));
        });
      } finally {
        counter.stop();
      }
    }),
};
