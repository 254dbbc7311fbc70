import { parseJobRequest } from '../../src/job/request.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { createQuota, type Quota } from '../../src/quota/quota.ts';
import { connectRedis, type RedisClient } from '../../src/redis/connection.ts';
import { figure, type Report, type Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Stage } from '../fleet/stage.ts';
import { becomes, inParallel, percentile } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';

const FEW = 100;
const ROUNDS = 1000;
const WARM_UP_ROUNDS = 100;
const BULK = 1000;
const BULKS_AT_ONCE = 4;
const UPSTREAM_MODEL = 'o3';
const NO_LIMITS = { requestsPerMinute: undefined, tokensPerMinute: undefined, maxInFlight: undefined };
/**
 * How many times as long a call to the long queue may take as one to the short queue. A search tree ten
 * thousand times as large is three times as deep, but a call also has a fixed cost.
 */
const MOST_TIMES = 1.5;
const QUIET_LIMIT_MS = 300_000;

/** Subject is one fair queue, and what was measured with it. */
interface Subject {
  prefix: string;
  queue: InstanceQueue;
  model: ModelQueue;
  quota: Quota;
  enqueueMs: number[];
  startMs: number[];
  viewMs: number[];
}

/**
 * fairQueueCost does the same work with a fair queue of a hundred jobs and with a very long one. It
 * alternates between them on one Redis, so that other load of this machine affects both alike.
 */
export function fairQueueCost(stage: Stage, waiting: number): Promise<Report> {
  return scenario({ workers: 0 }, (world) => measure(world, waiting))(stage);
}

async function measure({ fleet, signal, progress }: World, waiting: number): Promise<Findings> {
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  const subjects: Subject[] = [];
  try {
    const [few, many] = [open(fleet, redis, 'few'), open(fleet, redis, 'many')];
    subjects.push(few, many);
    await fill(few, FEW, signal);
    const emptyBytes = await usedBytes(redis);
    const filledMs = await fill(many, waiting, signal, (count) =>
      progress(`${count} of ${waiting} jobs wait`),
    );
    const bytes = (await usedBytes(redis)) - emptyBytes;
    progress('waiting until Redis has written its files');
    await becomes(async () => !(await isSaving(redis)), QUIET_LIMIT_MS, signal, 500);

    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
      signal.throwIfAborted();
      if (round === 0) for (const subject of subjects) forget(subject);
      // The two queues take turns in going first, because the work on one queue affects the measurement of
      // the other.
      for (const subject of round % 2 === 0 ? [few, many] : [many, few]) await once(subject);
      progress(`${round} of ${ROUNDS} rounds`);
    }
    return {
      requirements: [
        figure(
          'jobs in the two fair queues at the end',
          (await Promise.all([few, many].map((subject) => lengthOf(redis, subject)))).join(', '),
        ),
        figure(
          'memory of the long fair queue in Redis, and per job',
          `${(bytes / 2 ** 20).toFixed(0)} MB, ${(bytes / waiting).toFixed(0)} bytes`,
        ),
        figure('jobs per second while it was filled', Math.round((waiting * 1000) / filledMs)),
        ...compared('enqueue', few.enqueueMs, many.enqueueMs),
        ...compared('start', few.startMs, many.startMs),
        ...compared('view of the job that was just enqueued', few.viewMs, many.viewMs),
      ],
    };
  } finally {
    redis.disconnect();
    await Promise.all(subjects.map(({ queue }) => queue.close()));
  }
}

function open(fleet: Fleet, redis: RedisClient, prefix: string): Subject {
  const queue = new InstanceQueue({ redisUrl: fleet.redis.url, prefix });
  const [model] = queue.queues;
  if (model === undefined) throw new Error('expected a model in the default configuration');
  const quota = createQuota(redis, prefix, UPSTREAM_MODEL);
  return { prefix, queue, model, quota, enqueueMs: [], startMs: [], viewMs: [] };
}

function requestOf(prefix: string): { question: string } {
  return { question: `${prefix}: why is the sky dark at night?` };
}

/** @returns how long it took, in milliseconds. */
async function fill(
  { queue, prefix }: Subject,
  count: number,
  signal: AbortSignal,
  show: (done: number) => void = () => {},
): Promise<number> {
  const sizes = Array.from({ length: Math.ceil(count / BULK) }, (_, i) => Math.min(BULK, count - i * BULK));
  const startedAt = performance.now();
  let done = 0;
  await inParallel(sizes, BULKS_AT_ONCE, async (size) => {
    signal.throwIfAborted();
    const outcomes = await queue.enqueueBulk(Array.from({ length: size }, () => requestOf(prefix)));
    for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
    done += size;
    show(done);
  });
  return performance.now() - startedAt;
}

/**
 * Runs one round: it enqueues a job, views it and starts one, so that the queue keeps its length. A start
 * takes the three steps that a dispatcher takes.
 */
async function once(subject: Subject): Promise<void> {
  const { queue, model, quota, prefix } = subject;
  const enqueuedAt = performance.now();
  const { id } = (await queue.enqueue(parseJobRequest(requestOf(prefix)))).job;
  const viewedAt = performance.now();
  const view = await queue.get(id);
  const nextAt = performance.now();
  if (view?.status !== 'waiting' || view.position === null)
    throw new Error(`expected ${id} to wait in the fair queue, saw ${JSON.stringify(view)}`);
  const {
    jobs: [job],
  } = await model.fairQueue.next(1);
  if (job === undefined) throw new Error(`expected a job in the fair queue of "${prefix}", got none`);
  const need = { id: job.id, inputTokens: job.options.need?.input ?? 0, class: '/' };
  const { answers } = await quota.reserve([need], NO_LIMITS);
  const [started] = await model.fairQueue.start([
    { id: job.id, tenant: job.tenant, reservedModel: UPSTREAM_MODEL },
  ]);
  const endedAt = performance.now();
  if (typeof answers[0] !== 'number' || started !== true) throw new Error(`expected ${job.id} to be started`);
  await quota.giveBack([job.id]);
  subject.enqueueMs.push(viewedAt - enqueuedAt);
  subject.viewMs.push(nextAt - viewedAt);
  subject.startMs.push(endedAt - nextAt);
}

function forget(subject: Subject): void {
  subject.enqueueMs.length = 0;
  subject.startMs.length = 0;
  subject.viewMs.length = 0;
}

function compared(what: string, few: readonly number[], many: readonly number[]): Requirement[] {
  const times = (values: readonly number[]): string =>
    [0.5, 0.99].map((share) => percentile(values, share).toFixed(2)).join(', ');
  const ratios = [0.5, 0.99].map((share) => percentile(many, share) / percentile(few, share));
  const [median = Number.NaN, high = Number.NaN] = ratios;
  return [
    {
      what: `${what}: median with the long queue, as a multiple of the short one's`,
      required: `≤ ${MOST_TIMES}`,
      measured: median.toFixed(2),
      met: median <= MOST_TIMES,
    },
    figure(
      `${what}: p50, p99 of ${few.length} with ${FEW} waiting, then with all`,
      `${times(few)} ms, then ${times(many)} ms; p99 ${high.toFixed(2)} times`,
    ),
  ];
}

async function lengthOf(redis: RedisClient, { model }: Subject): Promise<number> {
  return redis.zcard(`${model.keys.fairQueue('tenant')}:`);
}

async function usedBytes(redis: RedisClient): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}

/**
 * Returns whether Redis is saving its data. While it saves, its child process takes a part of the machine's
 * time.
 */
async function isSaving(redis: RedisClient): Promise<boolean> {
  return /^(aof_rewrite_in_progress|rdb_bgsave_in_progress|aof_rewrite_scheduled):1/m.test(
    await redis.info('persistence'),
  );
}
