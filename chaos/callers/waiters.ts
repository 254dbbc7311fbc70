import { sleep } from '../../src/async/sleep.ts';
import { isJobView } from '../../src/client/answer.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobRequest } from '../../src/job/request.ts';
import { findViolations } from '../evidence/checks.ts';
import type { JobEvidence } from '../evidence/evidence.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement } from '../evidence/purchases.ts';
import { exactly, type Requirement } from '../evidence/report.ts';
import { residentBytes } from '../fleet/child.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import type { Random } from '../fleet/random.ts';
import { becomes, limited, onTime, percentile } from '../fleet/timing.ts';
import { scenario } from '../scenario.ts';
import { callUntilEnd, type LateAnswer } from './waiting-call.ts';

/** How many callers wait. Half of them ask for the result of an existing job; half enqueue a job and wait. */
const WAITERS = 2000;
const BURST = 200;
/**
 * How many jobs are enqueued in a second. If jobs came faster than the worker sends creates, they would wait
 * in the queue and end later than planned.
 */
const PER_SECOND = 100;
/** The time from the start until the first job ends, in milliseconds. By then all callers must be waiting. */
const LEAD_MS = 40_000;
const SPREAD_MS = 20_000;
const SETTLE_MS = 3000;
const LOOK_EVERY_MS = 100;
const WAIT_SECONDS = 120;
const ANSWER_LIMIT_MS = 100;
const LIMIT_MS = 180_000;

/** Waiter is a job and the caller who waits for it. */
interface Waiter {
  name: string;
  isBurst: boolean;
  posts: boolean;
  /** Milliseconds after the start at which the job should end. */
  endsAfterMs: number;
  /** When the caller's request is sent, in milliseconds since the existing jobs were enqueued. */
  atMs: number;
}

/** runWaiters lets thousands of callers wait at one producer, each until its job has ended. */
export const runWaiters = scenario({ workers: 1 }, async (world) => {
  const { fleet, history, random, signal, progress } = world;
  const plan = planWaiters(random);
  const limit = limited(signal, LIMIT_MS);

  const rssFirst = await settledBytes(fleet, signal);
  progress('enqueueing the jobs that callers ask for later');
  const ids = new Map<string, string>();
  const startedAt = Date.now();
  const asked = plan.filter(({ posts }) => !posts);
  const enqueueings = asked.map((waiter, index) => ({ waiter, atMs: (index * 1000) / PER_SECOND }));
  const enqueue = async ({ waiter }: { waiter: Waiter }): Promise<void> => {
    const job = await fleet.client.enqueue(requestOf(waiter, startedAt), { signal });
    history.accepted(job);
    ids.set(waiter.name, job.id);
  };
  await onTime(enqueueings, enqueue, signal);
  const rssBefore = await settledBytes(fleet, signal);

  const answers = new Map<string, LateAnswer | Error>();
  const call = async (waiter: Waiter): Promise<void> => {
    const answer = await callUntilEnd({
      ...(waiter.posts ? postOf(fleet, waiter, startedAt) : getOf(fleet, ids.get(waiter.name) ?? '')),
      signal: limit,
    }).catch((error: Error) => error);
    answers.set(waiter.name, answer);
    if (waiter.posts && !(answer instanceof Error) && isJobView(answer.body)) history.accepted(answer.body);
  };
  const calling = onTime(plan, call, signal);
  calling.catch(() => {});

  let running = 0;
  const allRun = async (): Promise<boolean> => {
    ({ running } = (await readLedger(fleet.upstreamUrl)).totals);
    progress(`${running} of ${WAITERS} jobs are in flight`);
    return running === WAITERS;
  };
  await becomes(allRun, startedAt + LEAD_MS - SETTLE_MS - Date.now(), signal, 500);
  const rssWaiting = await settledBytes(fleet, signal);
  const waiting = running - answers.size;
  progress('jobs end');
  await calling;

  const evidence = await world.evidence();
  const delays = delaysOf(evidence.jobs, answers);
  const burst = plan.filter(({ isBurst }) => isBurst).flatMap(({ name }) => delays.get(name) ?? []);
  const together = spanOf(
    evidence.jobs,
    plan.filter(({ isBurst }) => isBurst),
  );
  const answered = [...answers.values()].filter((each) => !(each instanceof Error) && each.status === 200);
  return {
    requirements: [
      exactly('callers waiting at once', WAITERS, waiting),
      exactly('answered 200, with a finished job or a result', WAITERS, answered.length),
      timing('from the end of the job to the answer', [...delays.values()]),
      timing(`the same for ${BURST} that end within ${together} ms`, burst),
      memory([rssFirst, rssBefore, rssWaiting], waiting),
      purchaseRequirement(evidence, WAITERS),
    ],
    violations: findViolations(evidence),
  };
});

function planWaiters(random: Random): Waiter[] {
  const order = Array.from({ length: WAITERS }, (_, index) => ({ index, rank: random.between(0, 1e9) }));
  const inBurst = new Set(
    order
      .toSorted((left, right) => left.rank - right.rank)
      .slice(0, BURST)
      .map(({ index }) => index),
  );
  return order.map(({ index }) => {
    const isBurst = inBurst.has(index);
    return {
      name: jobName(index),
      isBurst,
      posts: index % 2 === 0,
      endsAfterMs: LEAD_MS + (isBurst ? SPREAD_MS / 2 : random.between(0, SPREAD_MS)),
      atMs: (index * 1000) / PER_SECOND,
    };
  });
}

/** Builds a job that is enqueued now and ends at the planned time. */
function requestOf({ name, endsAfterMs }: Waiter, startedAt: number): JobRequest {
  const thinkMs = Math.max(1, startedAt + endsAfterMs - Date.now());
  return {
    question: `${name} is waited for`,
    metadata: { sim_think_ms: String(thinkMs), sim_deltas: '2' },
  };
}

function getOf({ producerUrl }: Fleet, id: string): { method: 'GET'; url: URL } {
  return { method: 'GET', url: new URL(`/jobs/${id}/result?wait=${WAIT_SECONDS}`, producerUrl) };
}

function postOf(
  { producerUrl }: Fleet,
  waiter: Waiter,
  startedAt: number,
): { method: 'POST'; url: URL; body: JobRequest } {
  return {
    method: 'POST',
    url: new URL(`/jobs?wait=${WAIT_SECONDS}`, producerUrl),
    body: requestOf(waiter, startedAt),
  };
}

/**
 * Returns the least memory that the producer uses within a few seconds, in bytes. At that moment most garbage
 * has been collected.
 */
async function settledBytes({ producers }: Fleet, signal: AbortSignal): Promise<number | undefined> {
  const [producer] = producers;
  const seen: number[] = [];
  for (const until = Date.now() + SETTLE_MS; Date.now() < until; ) {
    const bytes = await residentBytes(producer?.child.pid ?? 0);
    if (bytes === undefined) return undefined;
    seen.push(bytes);
    await sleep(LOOK_EVERY_MS, signal);
  }
  return Math.min(...seen);
}

/** Returns the milliseconds from the end of each job to its answer, by the name of the job. */
function delaysOf(
  jobs: readonly JobEvidence[],
  answers: ReadonlyMap<string, LateAnswer | Error>,
): Map<string, number> {
  const delays = new Map<string, number>();
  for (const { history, last } of jobs) {
    const answer = answers.get(history.name);
    if (last === undefined || !isFinishedJob(last) || answer === undefined || answer instanceof Error)
      continue;
    delays.set(history.name, answer.at - Date.parse(last.finished_at));
  }
  return delays;
}

/** Returns the milliseconds from the first to the last end of these jobs. */
function spanOf(jobs: readonly JobEvidence[], some: readonly Waiter[]): number {
  const names = new Set(some.map(({ name }) => name));
  const ends = jobs.flatMap(({ history, last }) =>
    names.has(history.name) && last !== undefined && isFinishedJob(last)
      ? [Date.parse(last.finished_at)]
      : [],
  );
  return Math.max(...ends) - Math.min(...ends);
}

function timing(what: string, delays: readonly number[]): Requirement {
  const p99 = percentile(delays, 0.99);
  return {
    what: `${what}: p50, p99, longest`,
    required: `p99 ≤ ${ANSWER_LIMIT_MS} ms`,
    measured: `${percentile(delays, 0.5)}, ${p99}, ${Math.max(...delays)} ms of ${delays.length}`,
    met: p99 <= ANSWER_LIMIT_MS,
  };
}

/**
 * Measures the growth twice: since before the calls, and since the beginning. Enqueueing has already enlarged
 * the heap, and the calls may use that room, so the true value is in between.
 */
function memory(bytes: readonly (number | undefined)[], count: number): Requirement {
  const [first = Number.NaN, before = Number.NaN, waiting = Number.NaN] = bytes;
  const megabytes = [first, before, waiting].map((each) => (each / 1024 / 1024).toFixed(0)).join(', ');
  const each = [before, first].map((from) => ((waiting - from) / count / 1024).toFixed(0)).join(' to ');
  return {
    what: 'memory of the producer: at first, before the calls, with all waiting; per waiter',
    required: '',
    measured: Number.isNaN(waiting) ? 'not available on this system' : `${megabytes} MB; ${each} KB`,
    met: undefined,
  };
}
