import { sleep } from '../../src/async/sleep.ts';
import { isJobView } from '../../src/client/answer.ts';
import { findViolations } from '../evidence/checks.ts';
import type { History } from '../evidence/history.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { exactly, figure, type Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { type PlannedJob, planCalmJobs } from '../fleet/job-plan.ts';
import type { Random } from '../fleet/random.ts';
import { onTime, percentile } from '../fleet/timing.ts';
import { scenario } from '../scenario.ts';

const JOBS_PER_SECOND = 20;
const BEFORE_MS = 5000;
const AWAY_MS = 10_000;
const AFTER_MS = 10_000;
const THINK_MS = { least: 1000, most: 4000 };
const REFUSAL_LIMIT_MS = 100;
const BACK_LIMIT_MS = 2000;
const LIMIT_MS = 120_000;

/** Posting is one POST of the load. */
interface Posting {
  sentAt: number;
  tookMs: number;
  status: number;
}

/**
 * runRedisOutage kills Redis under load and starts it again ten seconds later. In the meantime callers must
 * get a quick refusal.
 */
export const runRedisOutage = scenario({ workers: 2, proxies: true }, async (world) => {
  const { fleet, history, callers, random, signal, progress, say } = world;
  const postings: Posting[] = [];
  const jobs = steadyLoad(random);
  const load = onTime(jobs, async (job) => void postings.push(await post(fleet, job, history)), signal);
  load.catch(() => {});

  progress('load');
  await sleep(BEFORE_MS, signal);
  const workers = fleet.workers.map(({ child }) => child.name);
  const killedAt = Date.now();
  await fleet.redis.kill();
  say('Redis killed');
  await sleep(AWAY_MS, signal);
  const returningAt = Date.now();
  await fleet.redis.restart();
  const readyAt = Date.now();
  say('Redis is back');
  await load;
  progress('waiting for the answers');
  await callers.allFinished(LIMIT_MS);
  const evidence = await world.evidence();

  const meanwhile = postings.filter(({ sentAt }) => sentAt > killedAt && sentAt < returningAt);
  const refusals = meanwhile.filter(({ status }) => status === 503).map(({ tookMs }) => tookMs);
  const accepted = evidence.jobs.filter((job) => job.history.accepted);
  const lost = accepted.filter(({ last }) => last?.status !== 'completed').length;
  return {
    requirements: [
      figure('jobs accepted', `${accepted.length} of ${jobs.length}`),
      {
        what: 'answered 503 while Redis was away',
        required: `${meanwhile.length}`,
        measured: `${refusals.length}`,
        met: refusals.length === meanwhile.length && refusals.length > 0,
      },
      {
        what: 'time to that answer: p99, longest',
        required: `< ${REFUSAL_LIMIT_MS} ms`,
        measured: `${percentile(refusals, 0.99).toFixed(0)} ms, ${Math.max(...refusals).toFixed(0)} ms`,
        met: Math.max(...refusals) < REFUSAL_LIMIT_MS,
      },
      exactly('jobs accepted but not completed', 0, lost),
      purchaseRequirement(evidence, evidence.jobs.length),
      uncertainRequirement(evidence),
      ...workers.map((worker) => backAtWork(worker, fleet, readyAt)),
    ],
    violations: findViolations(evidence),
  };
});

function steadyLoad(random: Random): PlannedJob[] {
  const seconds = (BEFORE_MS + AWAY_MS + AFTER_MS) / 1000;
  return planCalmJobs(random, seconds * JOBS_PER_SECOND, THINK_MS).map((job, index) => ({
    ...job,
    atMs: (index * 1000) / JOBS_PER_SECOND,
  }));
}

/** Uses fetch instead of the client, because the client's own retries would be measured too. */
async function post({ producerUrl }: Fleet, { request }: PlannedJob, history: History): Promise<Posting> {
  const sentAt = Date.now();
  const startedAt = performance.now();
  const response = await fetch(new URL('/jobs', producerUrl), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  const body: unknown = await response.json();
  const tookMs = performance.now() - startedAt;
  if (response.status === 202 && isJobView(body)) history.accepted(body);
  return { sentAt, tookMs, status: response.status };
}

/**
 * Measures the time from the return of Redis until this worker got its first new job, as the wiretap saw it.
 */
function backAtWork(worker: string, { wiretap }: Fleet, readyAt: number): Requirement {
  const known = new Set(wiretap.pickups.filter(({ at }) => at <= readyAt).map(({ jobId }) => jobId));
  const first = wiretap.pickups.find(
    (pickup) => pickup.worker === worker && pickup.at > readyAt && !known.has(pickup.jobId),
  );
  const afterMs = first === undefined ? Number.POSITIVE_INFINITY : first.at - readyAt;
  return {
    what: `${worker} takes a new job after Redis is back`,
    required: `≤ ${BACK_LIMIT_MS} ms`,
    measured: `${afterMs} ms`,
    met: afterMs <= BACK_LIMIT_MS,
  };
}
