import { sleep } from '../../src/async/sleep.ts';
import { defaultModels } from '../../src/config/file.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { findViolations } from '../evidence/checks.ts';
import { purchaseRequirement } from '../evidence/purchases.ts';
import { exactly, figure, type Requirement, type Violation } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import { createRandom } from '../fleet/random.ts';
import { becomes, limited, percentile } from '../fleet/timing.ts';
import { scenario, type World } from '../scenario.ts';
import { createStallMeter } from './stall-meter.ts';
import { jobEventsRoute, responsesRoute } from './stream-reader.ts';
import { createWatcher, type Watched } from './watcher.ts';

const WATCHERS = 200;
/**
 * The length of the long answer: its deltas, and its time in milliseconds. During the first half of that time
 * the model only reasons, and sends no text.
 */
const LONG = { deltas: 10_000, thinkMs: 45_000 };
/**
 * When the worker is killed, in milliseconds: while it streams the answer, and so early that the next worker
 * also streams a part of the answer.
 */
const KILL_AT_MS = { least: 25_000, most: 27_000 };
/** How many jobs have a first response that fails in the middle of its answer. */
const FAILING = 5;
const FAILING_WATCHERS = 20;
const SHORT = { deltas: 2000, thinkMs: 8000 };
const ACTIVE_LIMIT_MS = 15_000;
const LIMIT_MS = 120_000;

/** Audience is what all watchers of one job have seen, and what they should have seen. */
interface Audience {
  job: JobView;
  answer: string;
  watched: Watched[];
}

/**
 * runWatchers streams a long answer through two producers to watchers who come and go at random, and kills
 * the worker that streams it.
 */
export const runWatchers = scenario({ workers: 1, producers: 2 }, async (world) => {
  const { fleet } = world;
  const meter = createStallMeter(fleet.producers.map(({ url }) => url));
  const long = await watchTheKilled(world);
  const stalls = meter.stop();
  const failing = await watchTheFailing(world);
  const evidence = await world.evidence();
  const attempts = failing.filter(({ job }) => job.attempt === 2).length;
  return {
    requirements: [
      ...wholeness(`${LONG.deltas} deltas, worker killed`, [long]),
      {
        what: 'attempt of that job',
        required: '1',
        measured: `${long.job.attempt}`,
        met: long.job.attempt === 1,
      },
      timing(long),
      await eventLogSize(fleet, long.job.id),
      ...stalls,
      ...wholeness(`${FAILING} jobs that fail once`, failing),
      exactly('failing jobs with attempt 2', FAILING, attempts),
      // The failed responses were paid for, too.
      purchaseRequirement(evidence, 1 + 2 * FAILING),
    ],
    violations: [...findViolations(evidence), ...[long, ...failing].flatMap(violationsOf)],
  };
});

async function watchTheKilled(world: World): Promise<Audience> {
  const { fleet, random, signal, progress, say } = world;
  const { id } = await enqueue(world, 0, LONG, {});
  await becomes(async () => (await fleet.client.get(id)).status === 'active', ACTIVE_LIMIT_MS, signal);
  const audience = gather(world, id, WATCHERS, LONG.thinkMs);
  const [worker] = fleet.workers;
  if (worker === undefined) throw new Error('expected a worker, got none');
  // The second worker is idle until the first one is dead.
  await fleet.addWorker();
  progress(`${WATCHERS} watchers come and go`);
  await sleep(random.between(KILL_AT_MS.least, KILL_AT_MS.most), signal);
  fleet.killWorker(worker);
  say(`${worker.child.name} killed`);
  return audience.ended();
}

async function watchTheFailing(world: World): Promise<Audience[]> {
  world.progress(`${FAILING} jobs fail once, and ${FAILING * FAILING_WATCHERS} watchers come and go`);
  return Promise.all(
    Array.from({ length: FAILING }, async (_, i) => {
      // This code concerns only one job. Five `server_error` in a row would count as an outage, and no job
      // would be charged an attempt.
      const fault = { sim: 'failed', sim_times: '1', sim_code: 'vector_store_timeout' };
      const { id } = await enqueue(world, i + 1, SHORT, fault);
      return gather({ ...world, seed: world.seed + i + 1 }, id, FAILING_WATCHERS, SHORT.thinkMs).ended();
    }),
  );
}

async function enqueue(
  { fleet, history }: World,
  index: number,
  { deltas, thinkMs }: { deltas: number; thinkMs: number },
  fault: Record<string, string>,
): Promise<JobView> {
  const job = await fleet.client.enqueue({
    question: `${jobName(index)} has many watchers`,
    metadata: { sim_deltas: String(deltas), sim_think_ms: String(thinkMs), ...fault },
  });
  history.accepted(job);
  return job;
}

/** Starts the watchers of a job; every fourth reads as the OpenAI SDK does. */
function gather(
  { fleet: { producers, client }, seed, signal, progress }: World,
  id: string,
  count: number,
  thinkMs: number,
): { ended(): Promise<Audience> } {
  const limit = limited(signal, LIMIT_MS);
  const producerUrls = producers.map(({ url }) => url);
  const all = Array.from({ length: count }, (_, index) => {
    const random = createRandom(seed * count + index);
    return createWatcher({
      route: index % 4 === 0 ? responsesRoute(id) : jobEventsRoute(id),
      producerUrls,
      random,
      // Most watchers come at the beginning. Some come when much has already been streamed.
      startsAfterMs: random.chance(0.8) ? random.between(0, 2000) : random.between(0, thinkMs),
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
      progress(`${whole} of ${count} watchers have read the end`);
      const job = await client.get(id);
      const outcome = await client.result(id);
      return { job, answer: outcome.status === 'completed' ? (outcome.result.answer ?? '') : '', watched };
    },
  };
}

function isWhole({ text, doneAt, flaws }: Watched, answer: string): boolean {
  return doneAt !== undefined && text === answer && answer !== '' && flaws.length === 0;
}

/** Counts the different sequences of events that watchers saw. One for each route is correct. */
function sequences(audience: Audience): number {
  return new Set(audience.watched.map(({ route, lines }) => JSON.stringify([route, lines]))).size;
}

function wholeness(name: string, audiences: readonly Audience[]): Requirement[] {
  const all = audiences.flatMap(({ watched }) => watched);
  const whole = audiences.flatMap(({ watched, answer }) => watched.filter((each) => isWhole(each, answer)));
  const different = audiences.reduce((sum, audience) => sum + sequences(audience), 0);
  const visits = all.reduce((sum, each) => sum + each.visits, 0);
  const drops = all.reduce((sum, each) => sum + each.drops, 0);
  return [
    {
      what: `${name}: watchers with the whole text, and each event once and in order`,
      required: `${all.length}`,
      measured: `${whole.length}`,
      met: whole.length === all.length,
    },
    {
      what: 'different sequences of events',
      required: `${2 * audiences.length}: one for each route and job`,
      measured: `${different}`,
      met: different === 2 * audiences.length,
    },
    figure('connections dropped, and opened', `${drops}, ${visits}`),
  ];
}

function timing({ job, watched }: Audience): Requirement {
  const endedAt = isFinishedJob(job) ? Date.parse(job.finished_at) : Number.NaN;
  const present = watched.filter(({ connectedAt }) => connectedAt <= endedAt);
  const delays = present.map(({ doneAt }) => (doneAt ?? Number.POSITIVE_INFINITY) - endedAt);
  const last = Math.max(...watched.map(({ doneAt }) => doneAt ?? Number.POSITIVE_INFINITY)) - endedAt;
  return figure(
    'from the end of the job to `done`, for connected watchers; for all watchers, with their pauses',
    `p50 ${percentile(delays, 0.5)} ms, p99 ${percentile(delays, 0.99)} ms of ${delays.length}; ${last} ms`,
  );
}

function violationsOf({ job, answer, watched }: Audience): Violation[] {
  return watched.flatMap((each, index) => {
    if (isWhole(each, answer)) return [];
    const end = each.doneAt === undefined ? 'no end' : 'the end';
    const seen = `${each.text.length} characters, ${end}, ${each.flaws.slice(0, 3).join('; ')}`;
    return [
      {
        rule: 'every watcher ends with the whole text',
        about: `watcher ${index} of ${job.id} at ${each.route}`,
        expected: `the answer of ${answer.length} characters`,
        seen,
      },
    ];
  });
}

/** Measures the event log of a job in Redis. */
async function eventLogSize({ redis }: Fleet, jobId: string): Promise<Requirement> {
  const client = connectRedis(redis.url, 'patient', { onError: () => {} });
  try {
    const key = keysOf('o3q', defaultModels().defaultModel).eventLog(jobId);
    const [entries, bytes] = await Promise.all([client.xlen(key), client.memory('USAGE', key, 'SAMPLES', 0)]);
    return figure(
      'event log of the job in Redis',
      `${entries} entries, ${Math.round((bytes ?? 0) / 1024)} KB`,
    );
  } finally {
    client.disconnect();
  }
}
