import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { findOffences } from '../evidence/checks.ts';
import { gatherEvidence } from '../evidence/evidence.ts';
import { createHistory, type History } from '../evidence/history.ts';
import { purchaseRequirement } from '../evidence/purchases.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import { createRandom } from '../fleet/random.ts';
import { becomes, limited, pause, percentile } from '../fleet/timing.ts';
import { isClean, type Offence, type Report, type Requirement, type Stage } from '../scenario.ts';
import { eventLogRequirements } from './event-log-size.ts';
import { createStallMeter } from './stall-meter.ts';
import { jobDoor, openAiDoor } from './stream-reader.ts';
import { createWatcher, type Watched } from './watcher.ts';

const WATCHERS = 200;
/** Its first half is silent: it reasons. */
const LONG = { deltas: 10_000, thinkMs: 45_000 };
/** While it streams, and so early that the next worker has some left to stream. */
const KILL_AT_MS = { least: 25_000, most: 27_000 };
/** Jobs whose first response fails in the middle of its answer. */
const FAILING = 5;
const FAILING_WATCHERS = 20;
const SHORT = { deltas: 2000, thinkMs: 8000 };
const ACTIVE_LIMIT_MS = 15_000;
const LIMIT_MS = 120_000;

/** What all watchers of one job have seen, and what they should have. */
interface Audience {
  job: JobView;
  answer: string;
  watched: Watched[];
}

/** A long answer, read by many who come and go at random, through two producers, while the worker that streams it is killed. */
export function runWatchers(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    { workers: 1, producers: 2, webhooks: false, proxies: false },
    (fleet) => watchers(stage, fleet),
    isClean,
  );
}

async function watchers(stage: Stage, fleet: Fleet): Promise<Report> {
  const history = createHistory();
  const meter = createStallMeter(fleet.producers.map(({ url }) => url));
  const long = await watchTheKilled(stage, fleet, history);
  const stalls = meter.stop();
  const failing = await watchTheFailing(stage, fleet, history);
  const evidence = await gatherEvidence(fleet, history, stage.signal);
  const attempts = failing.filter(({ job }) => job.attempt === 2).length;
  return {
    requirements: [
      ...wholeness(`${LONG.deltas} deltas, worker killed`, [long]),
      { what: 'its attempt', required: '1', measured: `${long.job.attempt}`, met: long.job.attempt === 1 },
      timing(long),
      ...(await eventLogRequirements(fleet, long.job.id)),
      ...stalls,
      ...wholeness(`${FAILING} jobs that fail once`, failing),
      {
        what: 'of them with attempt 2',
        required: `${FAILING}`,
        measured: `${attempts}`,
        met: attempts === FAILING,
      },
      // The failed responses had to be paid for, too.
      purchaseRequirement(evidence, 1 + 2 * FAILING),
    ],
    offences: [...findOffences(evidence), ...[long, ...failing].flatMap(offencesOf)],
    logs: fleet.folder,
  };
}

async function watchTheKilled(stage: Stage, fleet: Fleet, history: History): Promise<Audience> {
  const random = createRandom(stage.seed);
  const { id } = await enqueue(fleet, history, 0, LONG, {});
  await becomes(async () => (await fleet.client.get(id)).status === 'active', ACTIVE_LIMIT_MS, stage.signal);
  const audience = gather(stage, fleet, id, WATCHERS, LONG.thinkMs);
  const [worker] = fleet.workers;
  if (worker === undefined) throw new Error('expected a worker, got none');
  // It has nothing to do until the first one is dead.
  await fleet.addWorker();
  stage.progress(`${WATCHERS} watchers come and go`);
  await pause(random.between(KILL_AT_MS.least, KILL_AT_MS.most), stage.signal);
  fleet.killWorker(worker);
  stage.say(`${worker.child.name} killed`);
  return audience.ended();
}

async function watchTheFailing(stage: Stage, fleet: Fleet, history: History): Promise<Audience[]> {
  stage.progress(`${FAILING} jobs fail once, and ${FAILING * FAILING_WATCHERS} watchers come and go`);
  return Promise.all(
    Array.from({ length: FAILING }, async (_, i) => {
      const { id } = await enqueue(fleet, history, i + 1, SHORT, { sim: 'failed', sim_times: '1' });
      return gather(
        { ...stage, seed: stage.seed + i + 1 },
        fleet,
        id,
        FAILING_WATCHERS,
        SHORT.thinkMs,
      ).ended();
    }),
  );
}

async function enqueue(
  { client }: Fleet,
  history: History,
  index: number,
  { deltas, thinkMs }: { deltas: number; thinkMs: number },
  fault: Record<string, string>,
): Promise<JobView> {
  const job = await client.enqueue({
    question: `${jobName(index)} has many watchers`,
    metadata: { sim_deltas: String(deltas), sim_think_ms: String(thinkMs), ...fault },
  });
  history.accepted(job);
  return job;
}

/** Sends the watchers of a job; every fourth reads as the OpenAI SDK does. */
function gather(
  { seed, signal, progress }: Stage,
  { producers, client }: Fleet,
  id: string,
  count: number,
  thinkMs: number,
): { ended(): Promise<Audience> } {
  const limit = limited(signal, LIMIT_MS);
  const producerUrls = producers.map(({ url }) => url);
  const all = Array.from({ length: count }, (_, index) => {
    const random = createRandom(seed * count + index);
    return createWatcher({
      door: index % 4 === 0 ? openAiDoor(id) : jobDoor(id),
      producerUrls,
      random,
      // Most of them from the beginning, but some when much has been said already.
      comesAfterMs: random.chance(0.8) ? random.between(0, 2000) : random.between(0, thinkMs),
      signal: limit,
    });
  });
  const watched = all.map((watcher) => watcher.watched);
  const running = Promise.allSettled(all.map((watcher) => watcher.run()));
  return {
    async ended() {
      const settled = await running;
      signal.throwIfAborted();
      for (const end of settled) {
        if (end.status === 'rejected' && !limit.aborted) throw end.reason;
      }
      const whole = watched.filter(({ doneAt }) => doneAt !== undefined).length;
      progress(`${whole} of ${count} watchers have heard the end`);
      const job = await client.get(id);
      const outcome = await client.result(id);
      return { job, answer: outcome.status === 'completed' ? outcome.result.answer : '', watched };
    },
  };
}

function isWhole({ text, doneAt, flaws }: Watched, answer: string): boolean {
  return doneAt !== undefined && text === answer && answer !== '' && flaws.length === 0;
}

/** How many different sequences of events there are, where one for each door is right. */
function sequences(audience: Audience): number {
  return new Set(audience.watched.map(({ door, lines }) => JSON.stringify([door, lines]))).size;
}

function wholeness(name: string, audiences: readonly Audience[]): Requirement[] {
  const all = audiences.flatMap(({ watched }) => watched);
  const whole = audiences.flatMap(({ watched, answer }) => watched.filter((each) => isWhole(each, answer)));
  const different = audiences.reduce((sum, audience) => sum + sequences(audience), 0);
  const visits = all.reduce((sum, each) => sum + each.visits, 0);
  const drops = all.reduce((sum, each) => sum + each.drops, 0);
  return [
    {
      what: `${name}: watchers that end with the whole text, each event once and in order`,
      required: `${all.length}`,
      measured: `${whole.length}`,
      met: whole.length === all.length,
    },
    {
      what: 'different sequences of events',
      required: `${2 * audiences.length}: one for each door and job`,
      measured: `${different}`,
      met: different === 2 * audiences.length,
    },
    {
      what: 'connections dropped, and opened',
      required: '',
      measured: `${drops}, ${visits}`,
      met: undefined,
    },
  ];
}

function timing({ job, watched }: Audience): Requirement {
  const endedAt = isFinishedJob(job) ? Date.parse(job.finished_at) : Number.NaN;
  const present = watched.filter(({ cameAt }) => cameAt <= endedAt);
  const delays = present.map(({ doneAt }) => (doneAt ?? Number.POSITIVE_INFINITY) - endedAt);
  const last = Math.max(...watched.map(({ doneAt }) => doneAt ?? Number.POSITIVE_INFINITY)) - endedAt;
  return {
    what: 'from its end to `done`, for those who were connected; until all had it, back from their pause',
    required: '',
    measured: `p50 ${percentile(delays, 0.5)} ms, p99 ${percentile(delays, 0.99)} ms of ${delays.length}; ${last} ms`,
    met: undefined,
  };
}

function offencesOf({ job, answer, watched }: Audience): Offence[] {
  return watched.flatMap((each, index) => {
    if (isWhole(each, answer)) return [];
    const end = each.doneAt === undefined ? 'no end' : 'the end';
    const seen = `${each.text.length} characters, ${end}, ${each.flaws.slice(0, 3).join('; ')}`;
    return [
      {
        rule: 'every watcher ends with the whole text',
        about: `watcher ${index} of ${job.id} at ${each.door}`,
        expected: `the answer of ${answer.length} characters`,
        seen,
      },
    ];
  });
}
