import { performance } from 'node:perf_hooks';
import { sleep } from '../../src/async/sleep.ts';
import type { JobRequest } from '../../src/job/request.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import type { Requirement } from '../evidence/report.ts';
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

/**
 * Sent counts the commands and scripts that clients have sent to Redis. Commands that scripts call do not
 * count.
 */
interface Sent {
  commands: number;
  scripts: number;
}

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
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  if (!('monitor' in redis)) throw new Error('expected a single Redis, got a cluster');
  const monitor = await redis.monitor();
  const sent: Sent = { commands: 0, scripts: 0 };
  monitor.on('monitor', (_time: string, [command = '']: string[], source: string) => {
    if (source === 'lua') return;
    sent.commands += 1;
    if (/^eval/i.test(command)) sent.scripts += 1;
  });
  try {
    const requirements: Requirement[] = [];
    await ask(fleet, { what: '', key: false, request: { metadata: SIMULATED } }, 'warm-up');
    await sleep(QUIET_MS, signal);
    progress('measuring without jobs');
    const idle = await perSecond(sent, () => sleep(8000, signal));
    requirements.push(figureOf('idle, per second', idle));
    for (const kind of KINDS) {
      progress(kind.what);
      const before = { ...sent };
      const begunAt = performance.now();
      for (let i = 0; i < JOBS; i += 1) await ask(fleet, kind, `${kind.what} ${i}`);
      await sleep(QUIET_MS, signal);
      const seconds = (performance.now() - begunAt) / 1000;
      requirements.push(
        figureOf(`${kind.what}, beyond idle`, {
          commands: (sent.commands - before.commands - idle.commands * seconds) / JOBS,
          scripts: (sent.scripts - before.scripts - idle.scripts * seconds) / JOBS,
        }),
      );
    }
    return { requirements };
  } finally {
    monitor.disconnect();
    redis.disconnect();
  }
});

async function ask({ client }: Fleet, { key, request }: Kind, question: string): Promise<void> {
  const { id } = await client.enqueue({ question, ...request }, key ? { idempotencyKey: question } : {});
  const job = await client.wait(id, { timeoutMs: WAIT_MS });
  if (job.status !== 'completed') throw new Error(`expected ${question} to complete, it is ${job.status}`);
}

async function perSecond(sent: Sent, work: () => Promise<void>): Promise<Sent> {
  const before = { ...sent };
  const begunAt = performance.now();
  await work();
  const seconds = (performance.now() - begunAt) / 1000;
  return {
    commands: (sent.commands - before.commands) / seconds,
    scripts: (sent.scripts - before.scripts) / seconds,
  };
}

function figureOf(what: string, { commands, scripts }: Sent): Requirement {
  const measured = `${commands.toFixed(1)} commands, ${scripts.toFixed(1)} of them scripts`;
  return { what, required: '', measured, met: undefined };
}
