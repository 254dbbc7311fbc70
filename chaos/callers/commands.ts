import { sleep } from '../../src/async/sleep.ts';
import type { JobRequest } from '../../src/job/request.ts';
import type { Requirement } from '../evidence/report.ts';
import { callsPerJob, countCommands, OUR_SCRIPTS, sumOfCalls } from '../fleet/command-counter.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { scenario } from '../scenario.ts';

const JOBS = 10;
const THINK_MS = '1500';
/**
 * How long the scenario waits after a job has ended, in milliseconds: longer than a worker takes to write its
 * last record of the job.
 */
const QUIET_MS = 1500;
const WAIT_MS = 20_000;
const MOST_COMMANDS = 24;
/** Rarer commands, as a share of the calls of one job, are not named. */
const FEWEST_CALLS = 0.2;

/** Kind is one way to enqueue a job. */
interface Kind {
  what: string;
  key: boolean;
  request: Partial<JobRequest>;
}

const SIMULATED = { sim_think_ms: THINK_MS };
const KINDS: readonly Kind[] = [
  { what: 'a plain job', key: false, request: { metadata: SIMULATED } },
  { what: 'a job with an idempotency key', key: true, request: { metadata: SIMULATED } },
  { what: 'a job with delay_ms 300', key: false, request: { metadata: SIMULATED, delay_ms: 300 } },
  {
    what: 'a job with one retry',
    key: false,
    request: { metadata: { ...SIMULATED, sim: '500', sim_times: '1' } },
  },
];

/**
 * runCommands measures how many commands and scripts Redis gets for one job, from its enqueueing until its
 * last record.
 */
export const runCommands = scenario({ workers: 1 }, async ({ fleet, signal, progress }) => {
  const counter = await countCommands(fleet.redis.url);
  try {
    const requirements: Requirement[] = [];
    await ask(fleet, { what: '', key: false, request: { metadata: SIMULATED } }, 'warm-up');
    await sleep(QUIET_MS, signal);
    progress('measuring without jobs');
    const idle = await counter.during(() => sleep(8000, signal));
    const perSecond = callsPerJob(idle, { calls: new Map(), seconds: 1 }, idle.seconds);
    requirements.push(figureOf('idle, per second', perSecond));
    for (const kind of KINDS) {
      progress(kind.what);
      const busy = await counter.during(async () => {
        for (let i = 0; i < JOBS; i += 1) await ask(fleet, kind, `${kind.what} ${i}`);
        await sleep(QUIET_MS, signal);
      });
      const perJob = callsPerJob(busy, idle, JOBS);
      const most = kind === KINDS[0] ? MOST_COMMANDS : undefined;
      requirements.push(figureOf(`${kind.what}, beyond idle`, perJob, most));
    }
    return { requirements };
  } finally {
    counter.stop();
  }
});

async function ask({ client }: Fleet, { key, request }: Kind, question: string): Promise<void> {
  const { id } = await client.enqueue({ question, ...request }, key ? { idempotencyKey: question } : {});
  const job = await client.wait(id, { timeoutMs: WAIT_MS });
  if (job.status !== 'completed') throw new Error(`expected ${question} to complete, it is ${job.status}`);
}

function figureOf(what: string, calls: [command: string, calls: number][], most?: number): Requirement {
  const often = calls.filter(([, count]) => count >= FEWEST_CALLS);
  const [all, scripts] = [calls, calls.filter(([command]) => OUR_SCRIPTS.has(command))].map(sumOfCalls);
  const parts = often.map(([command, count]) => `${command} ${count.toFixed(1)}`).join(', ');
  return {
    what,
    required: most === undefined ? '' : `≤ ${most} commands`,
    measured: `${all?.toFixed(1)} commands, ${scripts?.toFixed(1)} of them scripts of ours: ${parts}`,
    met: most === undefined ? undefined : (all ?? Number.NaN) <= most,
  };
}
