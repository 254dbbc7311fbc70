import { isRunning, readLedger } from '../../chaos/evidence/ledger.ts';
import { becomes, percentile } from '../../chaos/fleet/timing.ts';
import { sleep } from '../../src/async/sleep.ts';
import { type Measurement, scaled } from '../measurement.ts';
import { enqueueBulk, QUESTION, untilFinished } from '../rig/jobs.ts';
import { withRig } from '../rig/rig.ts';

const JOBS = 200;
const THINK_MS = 600_000;
const START_LIMIT_MS = 60_000;
/** How long the other worker may be idle before the kill, in milliseconds. */
const SETTLE_MS = 2500;
/** By then the upstream has received every look-up that the killed worker has sent, in milliseconds. */
const LAST_LOOKUP_MS = 100;
const LOOK_EVERY_MS = 25;
const TAKEOVER_LIMIT_MS = 60_000;

/**
 * takeover kills one of two workers and measures when the other one first looks each response up. The bare
 * program does not take over: it buys the response again.
 */
export const takeover: Measurement = {
  name: 'takeover',
  description: 'SIGKILL of one of two workers: until the other has looked its jobs up at the upstream',
  async measure(stage) {
    const { signal, tally, progress, rounds } = stage;
    for (let round = 0; round < rounds; round += 1) {
      progress(`killing a worker, round ${round + 1} of ${rounds}`);
      await withRig(stage, { concurrency: 1000, thinkMs: THINK_MS }, async (rig) => {
        const { fleet } = rig;
        const { ours } = rig.sides;
        const count = scaled(stage, JOBS, 20);
        const victim = await fleet.addWorker();
        // A worker streams its first creates, until it knows that the upstream has the background mode.
        await enqueueBulk(ours, [{ question: QUESTION, metadata: { sim_think_ms: '0' } }], signal);
        await untilFinished(rig, ours, 1, signal);
        // Only lookups of polled responses are in the ledger.
        const jobs = Array.from({ length: count }, () => ({ question: QUESTION, stream: false }));
        await enqueueBulk(ours, jobs, signal);
        const pollsOf = async (): Promise<Map<string, number>> => {
          const { responses } = await readLedger(fleet.upstreamUrl);
          return new Map(responses.filter(isRunning).map(({ response_id, polls }) => [response_id, polls]));
        };
        const allRun = async (): Promise<boolean> => (await pollsOf()).size === count;
        if (!(await becomes(allRun, START_LIMIT_MS, signal, 200)))
          throw new Error('expected all jobs to run');
        await fleet.addWorker();
        await sleep(SETTLE_MS, signal);

        const killedAt = performance.now();
        fleet.killWorker(victim);
        await victim.child.exited;
        await sleep(LAST_LOOKUP_MS, signal);
        const before = await pollsOf();
        const times = new Map<string, number>();
        const allTaken = async (): Promise<boolean> => {
          for (const [id, polls] of await pollsOf()) {
            if (polls > (before.get(id) ?? 0) && !times.has(id)) times.set(id, performance.now() - killedAt);
          }
          progress(`${times.size} of ${count} jobs are taken over`);
          return times.size === count;
        };
        if (!(await becomes(allTaken, TAKEOVER_LIMIT_MS, signal, LOOK_EVERY_MS)))
          throw new Error(`expected ${count} jobs to be taken over, got ${times.size}`);
        tally.add('takeoverP50', 'ours', percentile([...times.values()], 0.5) / 1000);
        tally.add('takeoverMax', 'ours', Math.max(...times.values()) / 1000);
      });
    }
  },
};
