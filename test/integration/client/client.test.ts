import { O3Client } from '../../../src/client/o3-client.ts';
import { isFinishedJob } from '../../../src/job/job.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
let client: O3Client;

beforeAll(async () => {
  instance = await startInstance();
  client = new O3Client({ url: instance.url });
});
afterAll(() => instance.stop());

/** A request that the simulator treats as asked; see docs/SIMULATOR.md. */
const simulated = (metadata: Record<string, string>, input = 'Why?') => ({ request: { input, metadata } });

async function active(metadata: Record<string, string> = { sim_think_ms: '60000' }): Promise<string> {
  const { id } = await client.enqueue(simulated(metadata));
  return eventually(async () => {
    expect(await client.get(id)).toMatchObject({ status: 'active' });
    return id;
  });
}

describe('a job', () => {
  it('is enqueued, waited for, and answered', async () => {
    const job = await client.enqueue({ question: 'Why is the sky blue?', context: 'It is noon.' });
    expect(job).toMatchObject({ model: 'o3', question: 'Why is the sky blue?' });

    const finished = await client.wait(job.id);
    expect(finished).toMatchObject({ id: job.id, status: 'completed' });

    const outcome = await client.result(job.id);
    expect(outcome).toMatchObject({
      status: 'completed',
      result: {
        answer: expect.stringContaining('Why is the sky blue?'),
        model: 'o3',
        response: { object: 'response' },
      },
    });
  });

  it('hands its result to whoever waits for it', async () => {
    const { id } = await client.enqueue(simulated({ sim_think_ms: '300' }));
    expect(await client.result(id, { timeoutMs: 20_000 })).toMatchObject({ status: 'completed' });
  });

  it('is data when it fails, and is bought again by a retry', async () => {
    const { id } = await client.enqueue(simulated({ sim: '400', sim_times: '1', sim_key: 'client-retry' }));
    expect(await client.wait(id)).toMatchObject({ status: 'failed', error: { retryable: false } });
    expect(await client.result(id)).toMatchObject({ status: 'failed', job: { id, status: 'failed' } });

    expect(await client.retry(id)).toMatchObject({ id });
    expect(await client.wait(id)).toMatchObject({ status: 'completed' });
  });

  it('is answered as it is when the time to wait is over, and goes on', async () => {
    const id = await active();
    expect(await client.wait(id, { timeoutMs: 100 })).toMatchObject({ id, status: 'active' });
    expect(await client.result(id, { timeoutMs: 100 })).toMatchObject({ status: 'active', job: { id } });
    await client.cancel(id);
  });

  it('goes on when the one who waits for it has had enough', async () => {
    const id = await active();
    const controller = new AbortController();
    const waiting = client.wait(id, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(await client.get(id)).toMatchObject({ status: 'active', cancelling: false });
    await client.cancel(id);
  });

  it('is cancelled while it runs, and for ever', async () => {
    const id = await active();
    const answer = await client.cancel(id);
    expect(answer).toMatchObject({ id });
    expect(await client.wait(id)).toMatchObject({ status: 'cancelled' });
    expect(await client.cancel(id)).toMatchObject({ status: 'cancelled' });
    expect(await client.result(id)).toMatchObject({ status: 'cancelled', job: { status: 'cancelled' } });
  });

  it('is forgotten when it is finished, and not before', async () => {
    const id = await active();
    await expect(client.delete(id)).rejects.toMatchObject({ code: 'job_not_finished', status: 409 });
    await client.cancel(id);
    await client.wait(id);
    await client.delete(id);
    await expect(client.get(id)).rejects.toMatchObject({ code: 'job_not_found', status: 404 });
  });
});

describe('a refusal', () => {
  it('is an error with the code and the words of the instance', async () => {
    await expect(client.enqueue({ question: 'Why?', model: 'gpt-nonsense' })).rejects.toMatchObject({
      name: 'O3ClientError',
      code: 'unknown_model',
      message: expect.stringContaining('gpt-nonsense'),
    });
  });

  it('names the fields that were wrong', async () => {
    const wrong = { question: 'Why?', priority: -1, colour: 'blue' };
    await expect(client.enqueue(wrong)).rejects.toMatchObject({
      code: 'invalid_request',
      status: 400,
      flaws: expect.arrayContaining([expect.objectContaining({ path: 'priority' })]),
    });
  });

  it.each(['get', 'result', 'wait', 'cancel', 'retry', 'delete'] as const)(
    'of %s names a job that there is not',
    async (method) => {
      await expect(client[method]('no-such-job')).rejects.toMatchObject({
        code: 'job_not_found',
        message: expect.stringContaining('no-such-job'),
      });
    },
  );

  it('of a job that is finished says so', async () => {
    const { id } = await client.enqueue({ question: 'Why?' });
    await client.wait(id);
    await expect(client.cancel(id)).rejects.toMatchObject({ code: 'job_finished', status: 409 });
  });
});

describe('the list', () => {
  it('is walked over all its pages, each job once, newest first', async () => {
    const word = `walk${Date.now()}`;
    const ids: string[] = [];
    for (let number = 0; number < 7; number += 1) {
      ids.push((await client.enqueue({ question: `${word} ${number}` })).id);
    }
    const found: string[] = [];
    for await (const job of client.jobs({ q: word, limit: 2 })) found.push(job.id);
    expect(found).toEqual(ids.toReversed());
  });

  it('holds only what was asked for', async () => {
    const { id } = await client.enqueue(simulated({ sim: '400' }));
    await client.wait(id);
    const page = await client.list({ status: 'failed', model: 'o3', limit: 5 });
    expect(page.jobs.map((job) => job.id)).toContain(id);
    expect(page.jobs.every((job) => job.status === 'failed')).toBe(true);
  });
});

describe('while Redis is away', () => {
  it('a read waits until it is back, and an enqueue is refused once', async () => {
    const redis = await startTestRedis({ appendOnly: true });
    const own = await startInstance({ redis });
    try {
      const patient = new O3Client({ url: own.url, readPatienceMs: 20_000 });
      const { id } = await patient.enqueue({ question: 'Why?' });
      await patient.wait(id);
      await redis.kill('SIGKILL');
      await expect(patient.enqueue({ question: 'Why?' })).rejects.toMatchObject({
        code: 'redis_unavailable',
      });
      const reading = patient.get(id);
      await redis.restart();
      expect(isFinishedJob(await reading)).toBe(true);
    } finally {
      await own.stop();
      await redis.stop();
    }
  });
});
