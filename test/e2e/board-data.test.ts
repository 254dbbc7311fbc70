import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { O3Client } from '../../src/client/o3-client.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

interface ShownJob {
  id: string;
  name: string;
  attempts: number;
  isFailed: boolean;
  data: { question: string; context?: string };
  returnValue: Record<string, unknown>;
  opts: Record<string, unknown>;
  externalUrl: { href: string };
}

describe('the data of the board', () => {
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    instance = await startInstance({ simulator: { answer: () => 'word '.repeat(3000) } });
    client = new O3Client({ url: instance.url });
  });
  afterAll(() => instance.stop());

  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`${instance.url}/board/api/queues${path}`, {
      headers: { 'content-type': 'application/json' },
      ...init,
    });
  const listed = async (): Promise<ShownJob[]> => {
    const reply = await ask('?activeQueue=o3&status=latest&page=1&jobsPerPage=50');
    const { queues } = (await reply.json()) as { queues: { jobs: ShownJob[] }[] };
    return queues[0]?.jobs ?? [];
  };
  const shown = async (id: string): Promise<ShownJob> =>
    ((await (await ask(`/o3/${id}`)).json()) as { job: ShownJob }).job;

  it('are cut in lists, are whole on the page of the job, and are never saved cut', async () => {
    const context = 'x'.repeat(60_000);
    const { id } = await client.enqueue({ question: 'What is in this book?', context });
    await client.wait(id);

    const inList = (await listed()).find((job) => job.id === id);
    expect(inList?.data.context).toMatch(/^x{1000}… \[59000 more characters\]$/);
    expect(String(inList?.returnValue['answer']).length).toBeLessThan(600);
    expect((await shown(id)).returnValue['answer']).toBe('word '.repeat(3000));

    const add = { name: 'a copy', data: inList?.data, options: inList?.opts };
    const refusals = [
      await ask('/o3/add', { method: 'POST', body: JSON.stringify(add) }),
      await ask(`/o3/${id}/update-data`, {
        method: 'PATCH',
        body: JSON.stringify({ jobData: inList?.data }),
      }),
    ];
    expect(refusals.map(({ status }) => status)).toEqual([400, 400]);
    expect(await refusals[0]?.json()).toMatchObject({
      message: expect.stringContaining('shows only a part of this text'),
    });
    expect((await listed()).filter((job) => job.data.question === 'What is in this book?')).toHaveLength(1);
  });

  it('become a new job when a job is duplicated, which runs and has its own link', async () => {
    const original = await client.enqueue({ question: 'Twice?' });
    await client.wait(original.id);
    const { name, data, opts } = await shown(original.id);
    const body = JSON.stringify({ name, data, options: opts });
    const { job } = (await (await ask('/o3/add', { method: 'POST', body })).json()) as { job: ShownJob };
    expect(job.id).toMatch(/^\d+$/);
    expect((await shown(job.id)).externalUrl.href).toBe(`/jobs/o3:${job.id}`);
    expect(await client.wait(`o3:${job.id}`)).toMatchObject({ status: 'completed' });
  });

  it('are retried for all failed jobs at once without the cancelled ones, which have their own button', async () => {
    const once = { sim: 'failed', sim_code: 'invalid_prompt', sim_times: '1' };
    const failed = [
      await client.enqueue({ question: 'Failed?', metadata: once }),
      await client.enqueue({ question: 'Failed too?', metadata: once }),
    ];
    const cancelled = await client.enqueue({ question: 'Not wanted?', delay_ms: 3_600_000 });
    await client.cancel(cancelled.id);
    for (const { id } of failed) expect(await client.wait(id)).toMatchObject({ status: 'failed' });
    const { failed: before } = (
      (await (await ask('?activeQueue=o3')).json()) as { queues: { counts: { failed: number } }[] }
    ).queues[0]?.counts ?? { failed: 0 };

    const reply = await ask('/o3/retry/failed', { method: 'PUT', body: '{}' });
    expect(await reply.json()).toEqual({ retried: 2, skipped: before - 2 });
    for (const { id } of failed)
      expect(await client.wait(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(await client.get(cancelled.id)).toMatchObject({ status: 'cancelled', purchases: 0 });
    expect((await ask('/o3/retry/completed', { method: 'PUT', body: '{}' })).status).toBe(400);

    expect((await ask(`/o3/${cancelled.id}/retry`, { method: 'PUT', body: '{}' })).status).toBe(204);
    expect(await client.wait(cancelled.id)).toMatchObject({ status: 'completed' });
  });

  it('are listed with the newest job first, in every status', async () => {
    const later = await client.enqueue({ question: 'Later?', delay_ms: 3_600_000 });
    const done = await client.enqueue({ question: 'Done?' });
    const refused = await client.enqueue({ question: 'Refused?', metadata: { sim: '400' } });
    await client.wait(done.id);
    await client.wait(refused.id);
    const names = (await listed()).slice(0, 3).map(({ name }) => name);
    expect(names).toEqual(['failed · Refused?', 'completed · Done?', 'delayed · Later?']);
    await client.cancel(later.id);
    expect((await shown(later.id)).name).toBe('cancelled · Later?');
  });

  it('do not call a job failed that continued after a failed attempt', async () => {
    const { id } = await client.enqueue({
      question: 'At the second?',
      metadata: { sim: '503', sim_times: '1' },
    });
    await client.wait(id);
    expect(await shown(id)).toMatchObject({
      name: 'completed · At the second?',
      attempts: 2,
      isFailed: false,
    });
  });

  it('include a job that another BullMQ client wrote, and why it was refused', async () => {
    const { queueName } = keysOf('o3q', 'o3');
    const connection = new Redis(instance.redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue(queueName, { connection, prefix: 'o3q' });
    const { id = '' } = await queue.add('odd', { prompt: 'wrong field' });
    await client.wait(`o3:${id}`);
    expect(await shown(id)).toMatchObject({
      name: 'failed · odd',
      isFailed: true,
      returnValue: { error: { code: 'invalid_request' } },
    });
    await queue.close();
    connection.disconnect();
  });

  it('are shown on a page that may load nothing from other servers', async () => {
    const reply = await fetch(`${instance.url}/board/`);
    expect(reply.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(await reply.text()).not.toMatch(/(src|href)="(https?:)?\/\//);
  });
});
