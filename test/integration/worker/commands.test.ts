import { type Calls, countCommands } from '../../../chaos/fleet/command-counter.ts';
import { call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * What a plain job costs Redis, counted with MONITOR. A new command or script in a job's way fails here. What
 * comes with the clock is left out, or bounded by the time that has passed, so that a slow machine changes
 * nothing.
 */

const JOBS = 6;
/** The scripts of a plain job whose caller waits for it, and how often one job calls each at most. */
const SCRIPTS_OF_A_JOB = new Map([
  ['enqueue.store', 1],
  // A look that finds the job, its start, and a look from before or after it.
  ['fair-queue.dispatch', 3],
  ['quota.reserve', 1],
  ['run.begin', 1],
  // Its create is being sent, it was accepted, and it has ended.
  ['quota.advance', 3],
  ['purchase.store', 1],
  ['run.finish', 1],
  // The end, and at most one look before it.
  ['job.read', 2],
]);
/**
 * The commands of BullMQ for a job: it is taken, its end is reported, and the worker waits for the next one.
 */
const COMMANDS_OF_BULLMQ = new Map([
  ['evalsha', 4],
  ['bzpopmin', 2],
]);
/** How often the clock alone calls scripts of a job at most, per second. */
const BY_THE_CLOCK_PER_SECOND = new Map([
  // A dispatcher looks again after a second.
  ['fair-queue.dispatch', 1],
  // Leases are renewed every six seconds.
  ['quota.advance', 1 / 6],
  // An event log that is not watched is written every two seconds.
  ['run.append', 1 / 2],
  // A caller who waits looks again every 15 seconds.
  ['job.read', 1 / 15],
]);
/** The same for any other command, such as those of an idle worker of BullMQ. */
const OTHERS_PER_SECOND = 2;
/**
 * Each minute has a burst of its own, such as the sample for the charts. A command of each job is sent once
 * more than this, so it is still seen.
 */
const OTHERS_IN_A_BURST = JOBS - 1;
const MOST_COMMANDS = 24;
const MOST_SCRIPTS = 8;
/** Commands and scripts that belong to no job: heartbeats, locks, maintenance, connections. */
const OF_NO_JOB =
  /^(ping|time|info|hello|auth|client|subscribe|unsubscribe|monitor|select|workers\.|locks\.|deletions\.|estimates?\.|usage\.|retention\.|outbox\.|ends\.|webhooks?\.|quota\.snapshot|tenant-use\.)/;

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());

async function runJobs(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const { status, body } = await call(instance.url, 'POST', '/jobs?wait=60', {
      body: { question: `How much is it, the ${i + 1}. time?` },
    });
    expect({ status, body }).toMatchObject({ status: 200, body: { status: 'completed', attempt: 1 } });
  }
}

it('a plain job calls eight scripts of ours, and is at most 24 commands to Redis', async () => {
  // The first jobs teach the worker what the upstream can do, and load the scripts.
  await runJobs(2);
  const counter = await countCommands(instance.redis.url);
  const { calls, seconds } = await counter.during(() => runJobs(JOBS));
  counter.stop();
  const ofJobs: Calls = new Map();
  for (const [name, count] of calls) {
    const isOther = !BY_THE_CLOCK_PER_SECOND.has(name) && !SCRIPTS_OF_A_JOB.has(name);
    const perSecond = BY_THE_CLOCK_PER_SECOND.get(name) ?? (isOther ? OTHERS_PER_SECOND : 0);
    const byTheClock = Math.max(Math.ceil(seconds * perSecond), isOther ? OTHERS_IN_A_BURST : 0);
    if (!OF_NO_JOB.test(name) && count > byTheClock) ofJobs.set(name, count - byTheClock);
  }
  const most = new Map([...SCRIPTS_OF_A_JOB, ...COMMANDS_OF_BULLMQ]);
  expect([...ofJobs].filter(([name, count]) => count > JOBS * (most.get(name) ?? 0))).toEqual([]);
  expect([...SCRIPTS_OF_A_JOB.keys()].filter((name) => !calls.has(name))).toEqual([]);
  expect(SCRIPTS_OF_A_JOB.size).toBe(MOST_SCRIPTS);
  const all = [...ofJobs.values()].reduce((sum, count) => sum + count, 0);
  expect(all).toBeLessThanOrEqual(MOST_COMMANDS * JOBS);
});
