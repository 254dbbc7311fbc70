import { readLedger } from '../../chaos/evidence/ledger.ts';
import { becomes, inParallel, percentile } from '../../chaos/fleet/timing.ts';
import { type Measurement, scaled } from '../measurement.ts';
import { withRig } from '../rig/rig.ts';

const JOBS = 300;
const THINK_MS = 600_000;
/** With more callers, the time would be that of processes that wait for two cores. */
const CALLERS = 2;
const START_LIMIT_MS = 60_000;
const TOLD_LIMIT_MS = 30_000;

/** cancel measures how soon a cancel stops the spending. The bare program has no cancel. */
export const cancel: Measurement = {
  name: 'cancel',
  description: 'from the POST of a cancel until the upstream is told, two callers at a time',
  measure: (stage) =>
    withRig(stage, { workers: 2, concurrency: 1000, thinkMs: THINK_MS }, async ({ fleet }) => {
      const { signal, tally, progress } = stage;
      const count = scaled(stage, JOBS, 20);
      for (let round = 0; round < stage.rounds; round += 1) {
        progress(`cancelling ${count} jobs, round ${round + 1} of ${stage.rounds}`);
        const names = Array.from({ length: count }, (_, i) => `cancel-${round}-${i}`);
        const ids = new Map<string, string>();
        await inParallel(names, CALLERS, async (name) => {
          ids.set(name, (await fleet.client.enqueue({ question: `${name} is cancelled` }, { signal })).id);
        });
        const entries = async () => (await readLedger(fleet.upstreamUrl)).responses;
        const running = async (): Promise<boolean> =>
          (await entries()).filter(({ state }) => state === 'queued' || state === 'in_progress').length ===
          count;
        if (!(await becomes(running, START_LIMIT_MS, signal, 200)))
          throw new Error('expected all jobs to run');

        const sentAt = new Map<string, number>();
        await inParallel([...ids], CALLERS, async ([name, id]) => {
          sentAt.set(name, Date.now());
          await fleet.client.cancel(id, { signal });
        });
        const told = async (): Promise<number[]> =>
          (await entries()).flatMap(({ question, cancelled_at }) => {
            const at = sentAt.get(question.split(' ', 1)[0] ?? '');
            return at === undefined || cancelled_at === null ? [] : [cancelled_at - at];
          });
        const allTold = async (): Promise<boolean> => (await told()).length === count;
        if (!(await becomes(allTold, TOLD_LIMIT_MS, signal, 200)))
          throw new Error('expected the upstream to be told of all cancels');
        const delays = await told();
        tally.add('cancelP50', 'ours', percentile(delays, 0.5));
        tally.add('cancelP99', 'ours', percentile(delays, 0.99));
      }
    }),
};
