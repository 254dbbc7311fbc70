import { isJobView } from '../../src/client/answer.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobRequest } from '../../src/job/request.ts';
import { findOffences } from '../evidence/checks.ts';
import { gatherEvidence, type JobEvidence } from '../evidence/evidence.ts';
import { createHistory } from '../evidence/history.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement } from '../evidence/purchases.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import { createRandom } from '../fleet/random.ts';
import { becomes, limited, onTime, pause, percentile } from '../fleet/timing.ts';
import { isClean, type Report, type Requirement, type Stage } from '../scenario.ts';
import { residentBytes } from './memory.ts';
import { callAndWait, type LateAnswer } from './waiting-call.ts';

/** Half of them ask for the result of a job that is there, half enqueue one and wait. */
const WAITERS = 2000;
const BURST = 200;
/** No faster than the worker creates: whatever waits in the queue ends later than planned. */
const PER_SECOND = 100;
/** From the start to the first end: all must be waiting by then. */
const LEAD_MS = 40_000;
const SPREAD_MS = 20_000;
const SETTLE_MS = 3000;
const LOOK_EVERY_MS = 100;
const WAIT_SECONDS = 120;
const ANSWER_LIMIT_MS = 100;
const LIMIT_MS = 180_000;

/** A job and the caller who waits for it. */
interface Waiter {
  name: string;
  isBurst: boolean;
  posts: boolean;
  /** When the job is to end, after the start. */
  endsAfterMs: number;
  /** When the caller comes, after the jobs are there that are asked for. */
  atMs: number;
}

/** Thousands who hold the line at one producer until their job has ended. */
export function runWaiters(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    { workers: 1, webhooks: false, proxies: false },
    (fleet) => waiters(stage, fleet),
    isClean,
  );
}

async function waiters({ seed, signal, progress }: Stage, fleet: Fleet): Promise<Report> {
  const history = createHistory();
  const plan = planWaiters(seed);
  const limit = limited(signal, LIMIT_MS);

  const rssFirst = await settledBytes(fleet, signal);
  progress('enqueueing what is asked for later');
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
    const answer = await callAndWait({
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

  const evidence = await gatherEvidence(fleet, history, signal);
  const delays = delaysOf(evidence.jobs, answers);
  const burst = plan.filter(({ isBurst }) => isBurst).flatMap(({ name }) => delays.get(name) ?? []);
  const together = spanOf(
    evidence.jobs,
    plan.filter(({ isBurst }) => isBurst),
  );
  const answered = [...answers.values()].filter((each) => !(each instanceof Error) && each.status === 200);
  return {
    requirements: [
      {
        what: 'callers waiting at once',
        required: `${WAITERS}`,
        measured: `${waiting}`,
        met: waiting === WAITERS,
      },
      {
        what: 'answered 200, with an end or a result',
        required: `${WAITERS}`,
        measured: `${answered.length}`,
        met: answered.length === WAITERS,
      },
      timing('from the end of the job to the answer', [...delays.values()]),
      timing(`the same for ${BURST} that end within ${together} ms`, burst),
      memory([rssFirst, rssBefore, rssWaiting], waiting),
      purchaseRequirement(evidence, WAITERS),
    ],
    offences: findOffences(evidence),
    logs: fleet.folder,
  };
}

function planWaiters(seed: number): Waiter[] {
  const random = createRandom(seed);
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

/** Created now, it ends when the plan says. */
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

/** The least that the producer holds within some seconds: what is garbage is gone at some moment, what is needed never. */
async function settledBytes({ producers }: Fleet, signal: AbortSignal): Promise<number | undefined> {
  const [producer] = producers;
  const seen: number[] = [];
  for (const until = Date.now() + SETTLE_MS; Date.now() < until; ) {
    const bytes = await residentBytes(producer?.child.pid ?? 0);
    if (bytes === undefined) return undefined;
    seen.push(bytes);
    await pause(LOOK_EVERY_MS, signal);
  }
  return Math.min(...seen);
}

/** Of those that were answered, by the name of the job, in milliseconds. */
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

/** From the first end of some jobs to the last one, in milliseconds. */
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

/** Counted from before the calls and, since enqueueing had made room that the calls may have filled, from the beginning: the truth is in between. */
function memory(bytes: readonly (number | undefined)[], count: number): Requirement {
  const [first = Number.NaN, before = Number.NaN, waiting = Number.NaN] = bytes;
  const megabytes = [first, before, waiting].map((each) => (each / 1024 / 1024).toFixed(0)).join(', ');
  const each = [before, first].map((from) => ((waiting - from) / count / 1024).toFixed(0)).join(' to ');
  return {
    what: 'memory of the producer at first, before the calls, with all waiting; a waiter',
    required: '',
    measured: Number.isNaN(waiting) ? 'not told by this system' : `${megabytes} MB; ${each} KB`,
    met: undefined,
  };
}
