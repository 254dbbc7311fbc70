import { call } from '../../support/http/http-calls.ts';
import { startProducerChild, startWorkerChild, type WorkerChild } from '../../support/worker/worker-child.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

const TEN_MINUTES = 600_000;
const FIVE_MINUTES = 300_000;
/** Locks that a worker with a wrong clock would lose, and that last on a busy machine. */
const RECOVERY = { lockMs: 2500, stalledMs: 200 };
const POLLED = { stream: false };
/** Longer than two locks last. */
const THINKS = { sim_think_ms: '6000' };

let world: WorkerWorld;
const children: { kill(): Promise<void> }[] = [];

const worker = async (clockMs: number): Promise<WorkerChild> => {
  const child = await startWorkerChild(world, { clockMs, recovery: RECOVERY });
  children.push(child);
  return child;
};
const producer = async (clockMs: number): Promise<{ url: string }> => {
  const child = await startProducerChild(world, { clockMs });
  children.push(child);
  return child;
};
const fromNow = (ms: number): string => new Date(Date.now() + ms).toISOString();
const wasRecovered = (): boolean => world.logLines.some((line) => line.includes('recovered'));

beforeEach(async () => {
  world = await startWorkerWorld({ workers: 0, simulator: { thinkMs: 30 }, recovery: RECOVERY });
});
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill();
  await world.stop();
});

describe.each([TEN_MINUTES, -TEN_MINUTES])('a whole instance whose clock is off by %d ms', (clockMs) => {
  it('writes the time of Redis, waits for a delay, and keeps to a deadline', async () => {
    const { url } = await producer(clockMs);
    await worker(clockMs);
    const before = Date.now();
    const enqueue = (request: object) =>
      call(url, 'POST', '/jobs', { body: { question: 'When?', ...request } });
    const late = await enqueue({ deadline: fromNow(-FIVE_MINUTES) });
    const due = await enqueue({ delay_ms: 1500, deadline: fromNow(FIVE_MINUTES) });
    expect([late.status, due.status]).toEqual([400, 202]);

    const job = await world.finished((due.body as { id: string }).id);
    expect(job.status).toBe('completed');
    const times = [job.created_at, job.started_at ?? '', job.finished_at].map((time) => Date.parse(time));
    const [created = 0, started = 0, finished = 0] = times;
    // A second is allowed for a reply to TIME that came late.
    expect(created).toBeGreaterThan(before - 1000);
    expect(started).toBeGreaterThan(created + 500);
    expect(finished).toBeLessThan(Date.now() + 1000);
  });

  it('adopts a response of a worker whose clock is right, and does not end it as too old', async () => {
    const first = await worker(0);
    const { id } = await world.ask(
      'Whose clock?',
      { sim_think_ms: '2500' },
      { timeout_ms: 60_000, ...POLLED },
    );
    await world.running(id);
    await first.kill();
    await worker(clockMs);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('Whose clock?')).toHaveLength(1);
  });

  it('starts delayed jobs of a producer whose clock is right at their time', async () => {
    await worker(clockMs);
    const { id } = await world.ask('In a second?', {}, { delay_ms: 1000, deadline: fromNow(FIVE_MINUTES) });
    const { created_at: created, started_at: started, status } = await world.finished(id);
    expect(status).toBe('completed');
    expect(Date.parse(started ?? '') - Date.parse(created)).toBeGreaterThan(500);
  });
});

it('a clock that is set back leaves no polled, retried or delayed job standing, and loses no lock', async () => {
  const child = await worker(0);
  const polled = await world.ask('Polled?', THINKS, POLLED);
  const streamed = await world.ask('Streamed?', THINKS, { stream: true });
  await world.running(polled.id);
  await world.running(streamed.id);
  const delayed = await world.ask('Delayed?', {}, { delay_ms: 1500 });
  const retried = await world.ask('Retried?', { sim: '503', sim_times: '1' }, POLLED);
  await child.setClock(-TEN_MINUTES);
  // This worker would take the jobs if their locks expired.
  world.addWorker();
  for (const { id } of [polled, streamed, delayed, retried])
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  expect(wasRecovered()).toBe(false);
  for (const question of ['Polled?', 'Streamed?', 'Delayed?']) expect(world.bought(question)).toHaveLength(1);
});

it('a clock that is set forward expires no job early and takes no job from a living worker', async () => {
  const child = await worker(0);
  const { id } = await world.ask('Early?', THINKS, { deadline: fromNow(FIVE_MINUTES), ...POLLED });
  await world.running(id);
  await child.setClock(TEN_MINUTES);
  world.addWorker();
  expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
  expect(wasRecovered()).toBe(false);
  expect(world.bought('Early?')).toHaveLength(1);
});
