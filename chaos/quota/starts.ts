import { jobNameIn, readLedger } from '../evidence/ledger.ts';
import type { Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import { becomes, percentile } from '../fleet/timing.ts';
import { scenario, type World } from '../scenario.ts';

const ROUNDS = 50;
/** The model that may have only one job in flight. */
const SINGLE_SLOT = 'gpt-5';
/**
 * After this time, in milliseconds, a start counts as late. A dispatcher that missed a message looks again
 * after a second, so no message has triggered a start this late.
 */
const LATE_MS = 800;
const LIMIT_MS = 30_000;

/** runStarts measures how soon a job starts: when nothing waits, and when the only slot becomes free. */
export const runStarts = scenario(
  { workers: 2, config: { models: { o3: {}, [SINGLE_SLOT]: { maxInFlight: 1 } } } },
  async (world) => ({
    requirements: [
      delayRequirement('from the enqueueing to the create, when nothing waits', await startsOfIdle(world)),
      delayRequirement(
        'from the cancel that frees the slot to the next create',
        await startsOfWaiting(world),
      ),
    ],
  }),
);

async function startsOfIdle({ fleet, signal, progress }: World): Promise<number[]> {
  const delays: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    progress(`${round} of ${ROUNDS} jobs started while nothing waited`);
    const name = `idle-${jobName(round)}`;
    const at = Date.now();
    const { id } = await fleet.client.enqueue({
      question: `${name} comes alone`,
      metadata: { sim_think_ms: '1' },
    });
    await fleet.client.wait(id, { timeoutMs: LIMIT_MS, signal });
    delays.push((await createdAt(fleet, name, signal)) - at);
  }
  return delays;
}

async function startsOfWaiting({ fleet, signal, progress }: World): Promise<number[]> {
  const delays: number[] = [];
  const enqueue = async (name: string): Promise<string> => {
    const { id } = await fleet.client.enqueue({
      question: `${name} holds the slot`,
      model: SINGLE_SLOT,
      metadata: { sim_think_ms: '600000' },
    });
    return id;
  };
  let running = await enqueue('slot-first');
  await createdAt(fleet, 'slot-first', signal);
  for (let round = 0; round < ROUNDS; round += 1) {
    progress(`${round} of ${ROUNDS} jobs started when the slot became free`);
    const name = `slot-${jobName(round)}`;
    const next = await enqueue(name);
    const at = Date.now();
    await fleet.client.cancel(running, { signal });
    delays.push((await createdAt(fleet, name, signal)) - at);
    running = next;
  }
  await fleet.client.cancel(running, { signal });
  return delays;
}

/**
 * Returns when the upstream got the create of a job, in Unix milliseconds.
 * @throws an Error if the upstream got none within the limit.
 */
async function createdAt({ upstreamUrl }: Fleet, name: string, signal: AbortSignal): Promise<number> {
  let at: number | undefined;
  const isCreated = async (): Promise<boolean> => {
    const { responses } = await readLedger(upstreamUrl);
    at = responses.find(({ question }) => jobNameIn(question) === name)?.created_at;
    return at !== undefined;
  };
  await becomes(isCreated, LIMIT_MS, signal);
  if (at === undefined) throw new Error(`expected a create of ${name} within ${LIMIT_MS / 1000} s, saw none`);
  return at;
}

function delayRequirement(what: string, delays: readonly number[]): Requirement {
  const p90 = percentile(delays, 0.9);
  return {
    what: `${what}: p50, p90, longest`,
    required: `p90 < ${LATE_MS} ms`,
    measured: `${percentile(delays, 0.5)}, ${p90}, ${Math.max(...delays)} ms of ${delays.length}`,
    met: p90 < LATE_MS,
  };
}
