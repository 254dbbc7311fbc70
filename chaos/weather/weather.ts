import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { findViolations } from '../evidence/checks.ts';
import type { Evidence } from '../evidence/evidence.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { exactly, figure, type Report, type Requirement, seconds } from '../evidence/report.ts';
import { type PlannedJob, planCalmJobs } from '../fleet/job-plan.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes, onTime } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { FORECAST, MODEL, type Sky, SOURCES, type Source, skyOver, type Weather } from './forecast.ts';
import { createLookout, type Lookout } from './lookout.ts';

/** WeatherSize says how many jobs meet which weathers, and how long that takes. */
export interface WeatherSize {
  jobs: number;
  weathers: readonly Weather[];
  /**
   * The most jobs in flight. The number is so small that some jobs always wait, even while Redis lets no new
   * job be accepted.
   */
  maxInFlight: number;
  /** The time from the first job to the end of the last weather's share of the time, in milliseconds. */
  durationMs: number;
}

/** FULL_WEATHER is an hour of weather, twenty times as fast. */
export const FULL_WEATHER: WeatherSize = {
  jobs: 200,
  weathers: FORECAST,
  maxInFlight: 3,
  durationMs: 180_000,
};

const WORKERS = 2;
const THINK_MS = { least: 300, most: 2900 };
/**
 * How each weather's share of the time is used: `before` is fair, then `during` has the weather, and the rest
 * is fair again.
 */
const SHARE = { before: 0.15, during: 0.5 };
const LOOK_EVERY_MS = 200;
const ASK_AGAIN_MS = 500;
/** How long the jobs that still wait when the last weather is over may take, in milliseconds. */
const LIMIT_MS = 120_000;
/**
 * How much longer than the weather lasted it may take until all is well again, in milliseconds. The waits
 * between probes double, so the next probe comes at most as long after the weather's end as the weather had
 * lasted. The extra time is for the worker, and for a machine under load.
 */
const AGAIN_MS = 3000;
/**
 * How many jobs are charged an attempt before the circuit breaker opens. It opens when the fifth job in a row
 * fails, because each of the first four failures may have concerned only its own job.
 */
const CHARGED_BEFORE_BREAKER = 4;

/** Passage is one weather as it was seen. Times are Unix milliseconds. */
interface Passage {
  weather: Weather;
  beganAt: number;
  endedAt: number;
  /** When each source first named the weather, and its words. */
  named: ReadonlyMap<Source, { at: number; words: string }>;
  /** What each source that did not name the weather said last. */
  unnamed: ReadonlyMap<Source, string>;
  /** When `/readyz` and `GET /models` said that all is well; undefined: not in time. */
  clearAt: number | undefined;
}

/** runWeather lets one weather after the other begin and end while jobs are enqueued all the time. */
export function runWeather(stage: Stage, size: WeatherSize = FULL_WEATHER): Promise<Report> {
  const config = { models: { [MODEL]: { maxInFlight: size.maxInFlight } } };
  return scenario({ workers: WORKERS, health: true, config }, (world) => weather(world, size))(stage);
}

async function weather(world: World, size: WeatherSize): Promise<Findings> {
  const { fleet, history, random, callers, signal, progress } = world;
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  const sky = skyOver(fleet, redis);
  const startedAt = Date.now();
  const jobs = planCalmJobs(random, size.jobs, THINK_MS).map((job, index) => ({
    ...job,
    atMs: (index * size.durationMs) / size.jobs,
  }));
  const ticking = setInterval(() => {
    progress(`${seconds(Date.now() - startedAt)}: ${history.jobs.size} of ${jobs.length} jobs accepted`);
  }, 1000);
  try {
    const load = onTime(jobs, (job) => askPatiently(world, job), signal);
    load.catch(() => {});
    const passages: Passage[] = [];
    const shareMs = size.durationMs / size.weathers.length;
    for (const [index, one] of size.weathers.entries()) {
      const fromAt = startedAt + index * shareMs;
      await sleep(fromAt + shareMs * SHARE.before - Date.now(), signal);
      passages.push(await pass(world, sky, one, Math.round(shareMs * SHARE.during)));
    }
    await load;
    await callers.allFinished(LIMIT_MS);
    const evidence = await world.evidence();
    const purchases = (await readLedger(fleet.upstreamUrl)).responses.map(({ created_at: at }) => at);
    return {
      requirements: [
        ...passages.flatMap((passage) => passageRequirements(passage, purchases, startedAt)),
        ...jobRequirements(evidence, size),
        figure('ended by `o3q resume`', 'none: every stop ended by its own probes'),
      ],
      violations: findViolations(evidence),
    };
  } finally {
    clearInterval(ticking);
    redis.disconnect();
  }
}

/** Lets one weather begin and end, and looks at every source all the while. */
async function pass({ fleet, signal, say }: World, sky: Sky, one: Weather, forMs: number): Promise<Passage> {
  const lookout = createLookout(fleet, signal);
  await lookout.forgetLog();
  const beganAt = Date.now();
  say(`${one.name}: begins`);
  await one.begin(sky, forMs);
  const named = new Map<Source, { at: number; words: string }>();
  const unnamed = new Map<Source, string>();
  const look = async (source: Source): Promise<void> => {
    const pattern = one.names[source];
    while (pattern !== undefined && !named.has(source) && Date.now() < beganAt + forMs) {
      const said = await lookout.read(source);
      const [words] = pattern.exec(said) ?? [];
      if (words === undefined) {
        unnamed.set(source, said);
        await sleep(LOOK_EVERY_MS, signal);
        continue;
      }
      unnamed.delete(source);
      named.set(source, { at: Date.now(), words });
      say(`  ${source} after ${seconds(Date.now() - beganAt)}: ${words}`);
    }
  };
  await Promise.all([...SOURCES.map(look), sleep(forMs, signal)]);
  await one.end(sky);
  const endedAt = Date.now();
  say(`${one.name}: ends`);
  const isClear = await becomes(() => saysFair(lookout), forMs + AGAIN_MS, signal, LOOK_EVERY_MS);
  return { weather: one, beganAt, endedAt, named, unnamed, clearAt: isClear ? Date.now() : undefined };
}

async function saysFair(lookout: Lookout): Promise<boolean> {
  const [ready, models] = await Promise.all([lookout.read('/readyz'), lookout.read('GET /models')]);
  return ready === '200 {"status":"ok"}' && models === 'open: ';
}

/** Sends the question until it is accepted, as a caller with an idempotency key does. */
async function askPatiently({ fleet, history, signal }: World, job: PlannedJob): Promise<void> {
  for (;;) {
    try {
      history.accepted(await fleet.client.enqueue(job.request, { idempotencyKey: job.name, signal }));
      return;
    } catch (error: unknown) {
      if (!(error instanceof O3ClientError) || !isForLater(error)) throw error;
      await sleep(ASK_AGAIN_MS, signal);
    }
  }
}

function isForLater({ status, code }: O3ClientError): boolean {
  return status === 503 || code === 'instance_unreachable' || code === 'answer_lost';
}

function passageRequirements(
  passage: Passage,
  purchases: readonly number[],
  startedAt: number,
): Requirement[] {
  const { weather: one, beganAt, endedAt, named, unnamed, clearAt } = passage;
  const firstAt = Math.min(...purchases.filter((at) => at >= endedAt));
  const againMs = firstAt - endedAt;
  const limitMs = endedAt - beganAt + AGAIN_MS;
  const sources = SOURCES.filter((source) => one.names[source] !== undefined);
  return [
    {
      what: `${one.name}: named`,
      required: `by ${sources.join(', ')}, while it lasts`,
      measured: [
        `from ${seconds(beganAt - startedAt)} to ${seconds(endedAt - startedAt)}`,
        ...[...named].map(([source, { at, words }]) => `${source} after ${seconds(at - beganAt)}: ${words}`),
        ...[...unnamed].map(([source, said]) => `${source} never; it said: ${said.slice(0, 300)}`),
      ].join('\n'),
      met: named.size === sources.length,
    },
    {
      what: `${one.name}: until a job was sent again, and until /readyz and GET /models said so`,
      required: `≤ ${seconds(limitMs)}`,
      measured: `${seconds(againMs)}, ${clearAt === undefined ? 'never' : seconds(clearAt - endedAt)}`,
      met: againMs <= limitMs && clearAt !== undefined,
    },
  ];
}

function jobRequirements(evidence: Evidence, { jobs }: WeatherSize): Requirement[] {
  const statuses = evidence.jobs.map(({ last }) => last?.status);
  const count = (status: string): number => statuses.filter((one) => one === status).length;
  const charged = evidence.jobs.filter(({ last }) => (last?.attempt ?? 0) > 1);
  return [
    exactly('jobs completed', jobs, count('completed')),
    exactly('jobs failed', 0, count('failed')),
    purchaseRequirement(evidence, jobs),
    uncertainRequirement(evidence),
    {
      what: 'jobs charged an attempt',
      required: `≤ ${CHARGED_BEFORE_BREAKER}, before the circuit breaker opens`,
      measured: `${charged.length}`,
      met: charged.length <= CHARGED_BEFORE_BREAKER,
    },
  ];
}
