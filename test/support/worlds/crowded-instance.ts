import { Redis } from 'ioredis';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { Models } from '../../../src/config/file.ts';
import type { JobQueue } from '../../../src/job/job-queue.ts';
import type { FinishedJob, JobView } from '../../../src/job/view.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import { eventually } from '../eventually.ts';
import { addClones, type Clone } from '../redis/cloned-jobs.ts';
import { type Instance, quickModels, startInstance } from './instance.ts';

/** CrowdedInstance is an instance with 5,000 jobs, as an operator finds it on a busy day. */
export interface CrowdedInstance extends Instance {
  readonly client: O3Client;
  /** The job whose answer is being written. */
  readonly active: JobView;
  /** The newest job of the model that is paused. */
  readonly waiting: JobView;
  /** The job that asks about an index, late in a long question. */
  readonly sought: JobView;
}

export const JOBS = { all: 5000, failed: 300, cancelled: 100, waiting: 1200 };
/** MODELS are the models of the set. The last one is paused on the board. */
export const MODELS = ['o3', 'gpt-5.6-sol', 'gpt-5.5'] as const;
const [O3, SOL, PAUSED] = MODELS;
const TENANTS = ['alice', 'bob', 'carol', 'dave'] as const;
/** How many jobs are newer than the sought one, so that it is not among the newest ones on Now. */
const LATER = 30;
/** How far the finished jobs go back, in milliseconds: not beyond the retention of a week. */
const SPAN_MS = 6 * 86_400_000;

const ANSWER = `Give the planner a reason to read the index:

\`\`\`sql
CREATE INDEX CONCURRENTLY ON orders (status, created_at) INCLUDE (total);
\`\`\`

1. Your filter keeps **61 %** of the rows, so reading the table once is cheaper.
2. Then run \`VACUUM\`, so that an index-only scan is allowed.`;

const VERBS = [
  'Summarise',
  'Translate into German',
  'Check for contradictions',
  'Classify',
  'Find the risks in',
];
const THINGS = [
  'the minutes of the board',
  'the lease of shop',
  'the complaint of customer',
  'the review of change',
  'the incident report',
  'the supplier contract',
  'the lab protocol',
];
/** A person remembers one word of this question, and it stands behind the part that lists show. */
const SOUGHT =
  'We run Postgres 17 on two machines. The table orders has 40 million rows, 3 columns that we filter by and a ' +
  'report that takes 90 seconds every Monday. Why does it ignore the index on status and created_at?';
/** What failed, how many jobs did so, and of what. */
const FAILURES: readonly [model: string, count: number, metadata: Record<string, string>][] = [
  [O3, 170, { sim: 'failed', sim_code: 'vector_store_timeout' }],
  [SOL, 80, { sim: 'failed', sim_code: 'invalid_prompt' }],
  [O3, 50, { sim: '400' }],
];

/** startCrowdedInstance runs a job of each kind, and copies it until there are 5,000. */
export async function startCrowdedInstance(): Promise<CrowdedInstance> {
  const { models, ...rest } = quickModels();
  const { o3 } = models;
  if (o3 === undefined) throw new Error('a model o3 was expected');
  const configured: Models = {
    ...rest,
    tenants: {
      alice: { weight: 2, maxInFlight: 200, dailyBudgetUsd: 250, onBudgetExhausted: 'wait' },
      bob: { weight: 1, dailyBudgetUsd: 120, onBudgetExhausted: 'wait' },
      carol: { weight: 1, maxWaiting: 5000, onBudgetExhausted: 'wait' },
    },
    models: Object.fromEntries(
      MODELS.map((model) => [model, { ...o3, upstream: model, requestsPerMinute: 500 }]),
    ),
  };
  const instance = await startInstance({ models: configured, simulator: { answer: () => ANSWER } });
  const client = new O3Client({ url: instance.url });
  const queue = new O3Queue({ ...configured, redisUrl: instance.redis.url });
  const redis = new Redis(instance.redis.url);
  const as = (tenant: string) => queue.as({ tenant, admin: false });
  try {
    const active = await as('alice').enqueue({
      question: 'Schedule 42 talks in 3 rooms so that no speaker is double-booked',
      model: SOL,
      metadata: { sim: 'stall', sim_events: '24' },
    });
    const sources = await Promise.all(
      TENANTS.flatMap((tenant, i) => [
        ...[O3, SOL, PAUSED].map((model) =>
          as(tenant).enqueue({
            question: `${VERBS[i]} ${THINGS[i]} 1`,
            model,
            metadata: {
              sim_output_tokens: String(700 * (i + 1)),
              sim_reasoning_tokens: String(6000 * (5 - i)),
            },
          }),
        ),
        ...FAILURES.map(([model, , metadata]) =>
          as(tenant).enqueue({ question: `${VERBS[i]} ${THINGS[i]} 2`, model, metadata }),
        ),
      ]),
    );
    const stopped = await as('dave').enqueue({
      question: 'Stopped by hand',
      metadata: { sim: 'stuck_queued' },
    });
    await eventually(async () => expect(await client.get(stopped.id)).toMatchObject({ status: 'active' }));
    await client.cancel(stopped.id);
    const finished = (await Promise.all(
      [...sources, stopped].map(({ id }) => client.wait(id)),
    )) as FinishedJob[];
    await pause(instance.url, PAUSED);
    await clone(redis, finished);
    const others = JOBS.all - (await count(redis)) - 2;
    await enqueueWaiting(as, others - LATER);
    const sought = await as('carol').enqueue({ question: SOUGHT });
    await client.wait(sought.id);
    await enqueueWaiting(as, LATER);
    const waiting = await as('bob').enqueue({
      question: 'Which of these contracts renew in March?',
      model: PAUSED,
    });
    return { ...instance, client, active, waiting, sought };
  } catch (error: unknown) {
    await instance.stop();
    throw error;
  } finally {
    redis.disconnect();
    await queue.close();
  }
}

async function pause(url: string, model: string): Promise<void> {
  const answer = await fetch(`${url}/board/api/queues/${encodeURIComponent(model)}/pause`, { method: 'PUT' });
  expect(answer.status).toBe(200);
}

/** Copies the finished jobs, so that all but those that wait are there. */
async function clone(redis: Redis, sources: readonly FinishedJob[]): Promise<void> {
  const by = (status: string) => sources.filter((job) => job.status === status);
  const failed = by('failed');
  const plan: [sources: FinishedJob[], count: number][] = [
    [by('completed'), JOBS.all - JOBS.failed - JOBS.cancelled - JOBS.waiting - 2],
    [by('cancelled'), JOBS.cancelled],
    ...FAILURES.map(([, count], i): [FinishedJob[], number] => [
      failed.filter((_, j) => j % FAILURES.length === i),
      count,
    ]),
  ];
  const now = Date.now();
  for (const [of, count] of plan) {
    const more = count - of.length;
    const clones = of.map((): Clone[] => []);
    for (let n = 0; n < more; n += 1) {
      // The share of each source differs, so that tenants and models differ in what they cost.
      const source = (n * n) % of.length;
      const createdAt = Math.round(now - 60_000 - (SPAN_MS * n) / more);
      const question = `${VERBS[n % VERBS.length]} ${THINGS[n % THINGS.length]} ${100 + n}`;
      clones[source]?.push({ question, createdAt });
    }
    await Promise.all(of.map((source, i) => addClones(redis, source, clones[i] ?? [])));
  }
}

async function count(redis: Redis): Promise<number> {
  const sizes = await Promise.all(MODELS.map((model) => redis.zcard(`o3q:index:{${model}}:all`)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Enqueues jobs of the paused model, most of them of one tenant. */
async function enqueueWaiting(
  as: (tenant: string) => Pick<JobQueue, 'enqueueBulk'>,
  wanted: number,
): Promise<void> {
  const requests = Array.from({ length: wanted }, (_, n) => ({
    question: `${VERBS[n % VERBS.length]} ${THINGS[n % THINGS.length]} ${9000 + n}`,
    model: PAUSED,
  }));
  const bounds = [0, 0.67, 0.83, 0.92, 1].map((share) => Math.round(share * requests.length));
  for (const [i, tenant] of TENANTS.entries()) {
    const own = requests.slice(bounds[i], bounds[i + 1]);
    if (own.length > 0) await as(tenant).enqueueBulk(own);
  }
}
