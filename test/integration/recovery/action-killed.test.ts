import { Redis } from 'ioredis';
import type { Action } from '../../../src/job/action.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { quickModels } from '../../support/worlds/instance.ts';

/**
 * Real processes: a producer is killed while it drives four actions, and another one goes on. One of the
 * actions is told to stop while no process drives it.
 */

const JOBS = 700;
const LIMIT_MS = 60_000;
const BATCHES = ['cancel', 'retry', 'delete', 'stop'] as const;
type Batch = (typeof BATCHES)[number];
/** How BullMQ's events tell that a job of a batch was touched: the event, and the state before it. */
const TOUCHES: Record<Batch, { event: string; prev: string }> = {
  cancel: { event: 'failed', prev: 'waiting' },
  retry: { event: 'waiting', prev: 'failed' },
  delete: { event: 'removed', prev: 'failed' },
  stop: { event: 'failed', prev: 'waiting' },
};

const cli = createCliProcesses();
let server: TestRedis;
let redis: Redis;
let queue: InstanceQueue;
/** The ids of the jobs of each batch. */
let ids: Record<Batch, ReadonlySet<string>>;
let actions: Record<Batch, string>;
let atKill: Record<Batch, Action>;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
  queue = new InstanceQueue({ redisUrl: server.url, ...quickModels() });
  ids = await forEachBatch(enqueueBatch);
  await Promise.all([...ids.retry, ...ids.delete].map((id) => queue.cancel(id)));
  // This process drives no action, so the first producer finds all of them at once.
  actions = await forEachBatch(startAction);
  const first = await startProducer();
  await eachTouched(20);
  first.kill('SIGKILL');
  await first.exited;
  atKill = await forEachBatch((batch) => queue.actions.get(actions[batch]));
  await queue.actions.stop(actions.stop);
  await startProducer();
  for (const batch of BATCHES) {
    await eventually(async () => {
      expect((await queue.actions.get(actions[batch])).finished_at).not.toBeNull();
    }, LIMIT_MS);
  }
}, LIMIT_MS * 4);

afterAll(async () => {
  await cli.end();
  await queue.close();
  redis.disconnect();
  await server.stop();
});

async function startProducer() {
  const started = await cli.start(['producer'], { REDIS_URL: server.url, PORT: '0' });
  await started.says(/^o3-queue producer ready on (http:\S+)$/m);
  return started;
}

async function forEachBatch<Of>(make: (batch: Batch) => Promise<Of>): Promise<Record<Batch, Of>> {
  const made = await Promise.all(BATCHES.map(async (batch) => [batch, await make(batch)] as const));
  return Object.fromEntries(made) as Record<Batch, Of>;
}

async function enqueueBatch(batch: Batch): Promise<ReadonlySet<string>> {
  const requests = Array.from({ length: JOBS }, (_, i) => ({ question: `${i}?`, metadata: { batch } }));
  const outcomes = await queue.enqueueBulk(requests);
  return new Set(outcomes.map((outcome) => (outcome.ok ? outcome.job.id : '')));
}

async function startAction(batch: Batch): Promise<string> {
  const kind = batch === 'stop' ? 'cancel' : batch;
  const status = { cancel: undefined, retry: 'cancelled', delete: 'cancelled' } as const;
  const filter = { metadata: { batch }, ...(status[kind] !== undefined && { status: status[kind] }) };
  return (await queue.actions.start(kind, filter)).id;
}

interface BullmqEvent {
  id: string;
  event: string;
  prev: string;
}

function eventFrom(flat: readonly string[]): BullmqEvent {
  const fields = Object.fromEntries(
    Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]),
  );
  return { id: fields['jobId'] ?? '', event: fields['event'] ?? '', prev: fields['prev'] ?? '' };
}

const isTouch = (batch: Batch, { id, event, prev }: BullmqEvent): boolean =>
  ids[batch].has(id) && event === TOUCHES[batch].event && prev === TOUCHES[batch].prev;

/**
 * Resolves as soon as each action has touched so many jobs: it listens to BullMQ's events and never polls.
 */
async function eachTouched(count: number): Promise<void> {
  const reader = redis.duplicate();
  const seen = new Map<Batch, number>(BATCHES.map((batch) => [batch, 0]));
  let last = '0';
  while (Math.min(...seen.values()) < count) {
    const streams = await reader.xread('COUNT', 1000, 'BLOCK', LIMIT_MS, 'STREAMS', eventStream(), last);
    if (streams === null) throw new Error(`each action was expected to touch ${count} jobs`);
    for (const [entry, flat] of streams[0]?.[1] ?? []) {
      last = entry;
      for (const batch of BATCHES)
        if (isTouch(batch, eventFrom(flat))) seen.set(batch, (seen.get(batch) ?? 0) + 1);
    }
  }
  reader.disconnect();
}

const eventStream = (): string => keysOf('o3q', 'o3').queue('events');

/** Returns how often each job of a batch was touched, as BullMQ's events tell. */
async function touchesOf(batch: Batch): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const [, flat] of await redis.xrange(eventStream(), '-', '+')) {
    const event = eventFrom(flat);
    if (isTouch(batch, event)) counts.set(event.id, (counts.get(event.id) ?? 0) + 1);
  }
  return counts;
}

const statusesOf = async (batch: Batch): Promise<Set<string>> =>
  new Set((await queue.list({ metadata: { batch }, limit: 100 })).jobs.map(({ status }) => status));

it.each<[Batch, statuses: string[]]>([
  ['cancel', ['cancelled']],
  ['retry', ['waiting']],
  ['delete', []],
])(
  'a %s of many jobs whose producer is killed in the middle is finished by another, and touches each job once',
  async (batch, statuses) => {
    expect(atKill[batch]).toMatchObject({ status: 'running', finished_at: null });
    expect(atKill[batch].done).toBeLessThan(JOBS);
    const ended = await queue.actions.get(actions[batch]);
    expect(ended).toMatchObject({ status: 'done', done: JOBS, skipped: {}, failed: {} });
    const touches = await touchesOf(batch);
    expect(touches.size).toBe(JOBS);
    expect(new Set(touches.values())).toEqual(new Set([1]));
    expect([...(await statusesOf(batch))]).toEqual(statuses);
  },
);

it('an action that is told to stop while no process drives it stays stopped, and touches no further job', async () => {
  const { done } = atKill.stop;
  expect(done).toBeLessThan(JOBS);
  const touches = await touchesOf('stop');
  expect(touches.size).toBe(done);
  expect(new Set(touches.values())).toEqual(new Set([1]));
  expect(await queue.actions.get(actions.stop)).toMatchObject({ status: 'stopped', done });
  expect(await queue.actions.stop(actions.stop)).toMatchObject({ status: 'stopped', done });
  expect(await queue.actions.count('cancel', { metadata: { batch: 'stop' } })).toMatchObject({
    matching: JOBS - done,
  });
});
