import { isJobView } from '../../src/client/answer.ts';
import { findOffences } from '../evidence/checks.ts';
import { gatherEvidence } from '../evidence/evidence.ts';
import { createHistory, type History } from '../evidence/history.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { createCallers } from '../fleet/callers.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { type PlannedJob, planCalmJobs } from '../fleet/job-plan.ts';
import { createRandom } from '../fleet/random.ts';
import { onTime, pause, percentile } from '../fleet/timing.ts';
import { isClean, type Report, type Requirement, type Stage } from '../scenario.ts';

const JOBS_PER_SECOND = 20;
const BEFORE_MS = 5000;
const AWAY_MS = 10_000;
const AFTER_MS = 10_000;
const THINK_MS = { least: 1000, most: 4000 };
const REFUSAL_LIMIT_MS = 100;
const BACK_LIMIT_MS = 2000;
const LIMIT_MS = 120_000;

/** One POST of the load. */
interface Posting {
  sentAt: number;
  tookMs: number;
  status: number;
}

/** Redis is killed under load and comes back ten seconds later; nobody who asks meanwhile is kept waiting. */
export function runRedisOutage(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    { workers: 2, webhooks: false, proxies: true },
    (fleet) => outage(stage, fleet),
    isClean,
  );
}

async function outage({ seed, signal, progress, say }: Stage, fleet: Fleet): Promise<Report> {
  const history = createHistory();
  const callers = createCallers(fleet, history, signal);
  const postings: Posting[] = [];
  const jobs = steadyLoad(seed);
  const load = onTime(jobs, async (job) => void postings.push(await post(fleet, job, history)), signal);
  load.catch(() => {});

  progress('load');
  await pause(BEFORE_MS, signal);
  const workers = fleet.workers.map(({ child }) => child.name);
  const killedAt = Date.now();
  await fleet.redis.kill();
  say('Redis killed');
  await pause(AWAY_MS, signal);
  const returningAt = Date.now();
  await fleet.redis.restart();
  const readyAt = Date.now();
  say('Redis is back');
  await load;
  progress('waiting for the answers');
  await callers.allFinished(LIMIT_MS);
  const evidence = await gatherEvidence(fleet, history, signal);

  const meanwhile = postings.filter(({ sentAt }) => sentAt > killedAt && sentAt < returningAt);
  const refusals = meanwhile.filter(({ status }) => status === 503).map(({ tookMs }) => tookMs);
  const accepted = evidence.jobs.filter((job) => job.history.accepted);
  const lost = accepted.filter(({ last }) => last?.status !== 'completed').length;
  return {
    requirements: [
      {
        what: 'jobs accepted',
        required: '',
        measured: `${accepted.length} of ${jobs.length}`,
        met: undefined,
      },
      {
        what: 'answered 503 while Redis was away',
        required: `${meanwhile.length}`,
        measured: `${refusals.length}`,
        met: refusals.length === meanwhile.length && refusals.length > 0,
      },
      {
        what: 'how soon: p99 and longest',
        required: `< ${REFUSAL_LIMIT_MS} ms`,
        measured: `${percentile(refusals, 0.99).toFixed(0)} ms, ${Math.max(...refusals).toFixed(0)} ms`,
        met: Math.max(...refusals) < REFUSAL_LIMIT_MS,
      },
      { what: 'accepted and not completed', required: '0', measured: `${lost}`, met: lost === 0 },
      purchaseRequirement(evidence, evidence.jobs.length),
      uncertainRequirement(evidence),
      ...workers.map((worker) => backAtWork(worker, fleet, readyAt)),
    ],
    offences: findOffences(evidence),
    logs: fleet.folder,
  };
}

function steadyLoad(seed: number): PlannedJob[] {
  const seconds = (BEFORE_MS + AWAY_MS + AFTER_MS) / 1000;
  return planCalmJobs(createRandom(seed), seconds * JOBS_PER_SECOND, THINK_MS).map((job, index) => ({
    ...job,
    atMs: (index * 1000) / JOBS_PER_SECOND,
  }));
}

/** By hand and not by the client, whose own patience would be measured too. */
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

/** The first job that came into this worker's hands for the first time after Redis was back, as the wire has it. */
function backAtWork(worker: string, { wiretap }: Fleet, readyAt: number): Requirement {
  const known = new Set(wiretap.contacts.filter(({ at }) => at <= readyAt).map(({ jobId }) => jobId));
  const first = wiretap.contacts.find(
    (contact) => contact.worker === worker && contact.at > readyAt && !known.has(contact.jobId),
  );
  const afterMs = first === undefined ? Number.POSITIVE_INFINITY : first.at - readyAt;
  return {
    what: `${worker} takes a new job after Redis is back`,
    required: `≤ ${BACK_LIMIT_MS} ms`,
    measured: `${afterMs} ms`,
    met: afterMs <= BACK_LIMIT_MS,
  };
}
