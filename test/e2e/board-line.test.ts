import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { O3Client } from '../../src/client/o3-client.ts';
import { parkedDelayMs } from '../../src/fair-queue/parked.ts';
import { keysOf } from '../../src/redis/keys.ts';
import { describeInChromium } from '../support/process/chromium.ts';
import { TIME_LIMIT_MS } from '../support/time-limit.ts';
import { type Instance, startInstance } from '../support/worlds/instance.ts';

const DAY_MS = 86_400_000;

interface Tab {
  counts: Record<string, number>;
  statuses: string[];
  jobs: { id: string; name: string; returnValue: Record<string, unknown> }[];
  pagination: { pageCount: number };
}

describe('the board of a fair queue without workers', () => {
  let instance: Instance;
  let client: O3Client;
  let bullmq: Queue;
  let connection: Redis;
  beforeEach(async () => {
    instance = await startInstance({ workers: 0 });
    client = new O3Client({ url: instance.url });
    connection = new Redis(instance.redis.url, { maxRetriesPerRequest: null });
    bullmq = new Queue(keysOf('o3q', 'o3').queueName, { connection, prefix: 'o3q' });
  });
  afterEach(async () => {
    await bullmq.close();
    connection.disconnect();
    await instance.stop();
  });

  const ask = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`${instance.url}/board/api/queues${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(method === 'GET' ? {} : { body: '{}' }),
    });
  const tab = async (status: string, page = 1): Promise<Tab> => {
    const reply = await ask(`?activeQueue=o3&status=${status}&page=${page}&jobsPerPage=2`);
    const [queue] = ((await reply.json()) as { queues: Tab[] }).queues;
    if (queue === undefined) throw new Error('a queue o3 was expected');
    return queue;
  };
  const enqueue = async (question: string, delayMs?: number): Promise<string> =>
    (await client.enqueue({ question, ...(delayMs !== undefined && { delay_ms: delayMs }) })).id;

  it('shows parked jobs as waiting, which BullMQ calls delayed until 2039, and delayed ones as delayed', async () => {
    const waiting = [await enqueue('First?'), await enqueue('Second?'), await enqueue('Third?')];
    const delayed = await enqueue('Tomorrow?', DAY_MS);

    const first = await tab('waiting');
    expect(first.statuses).toEqual(['latest', 'active', 'waiting', 'completed', 'failed', 'delayed']);
    expect(first.counts).toMatchObject({ waiting: 3, delayed: 1 });
    expect(first.pagination.pageCount).toBe(2);
    const pages = [...first.jobs, ...(await tab('waiting', 2)).jobs];
    expect(pages.map(({ id }) => id)).toEqual([...waiting].reverse());
    expect(pages.map(({ returnValue }) => returnValue['position'])).toEqual([3, 2, 1]);
    expect((await tab('delayed')).jobs.map(({ id }) => id)).toEqual([delayed]);

    const page = (await (await ask(`/o3/${waiting[0]}`)).json()) as { status: string };
    expect(page.status).toBe('waiting');
    expect((await ask(`/o3/${waiting[0]}/promote`, 'PUT')).status).toBe(400);
    expect((await tab('waiting')).jobs.map(({ returnValue }) => returnValue['position'])).toEqual([3, 2]);
  });

  it('promotes only delayed jobs', async () => {
    const waiting = await enqueue('Now?');
    const delayed = await enqueue('Tomorrow?', DAY_MS);
    expect((await ask('/o3/promote', 'PUT')).status).toBe(200);
    expect((await tab('waiting')).counts).toMatchObject({ waiting: 2, delayed: 0 });
    expect(await bullmq.getWaiting()).toMatchObject([{ id: delayed }]);
    instance.addWorker();
    for (const id of [waiting, delayed]) expect(await client.wait(id)).toMatchObject({ status: 'completed' });
  });

  it('empties the fair queue and nothing else, and tells waiting callers', async () => {
    const waiting = await enqueue('Now?');
    const delayed = await enqueue('Tomorrow?', DAY_MS);
    const told = client.wait(waiting).catch((error: unknown) => error);
    expect((await ask('/o3/empty', 'PUT')).status).toBe(200);
    expect(await client.get(waiting).catch((error: unknown) => error)).toMatchObject({
      code: 'job_not_found',
    });
    // Which of the two it hears is a matter of milliseconds.
    expect(['cancelled', 'job_not_found']).toContain(endOf(await told));
    expect(await client.get(delayed)).toMatchObject({ status: 'delayed' });
    expect((await tab('waiting')).counts).toMatchObject({ waiting: 0, delayed: 1, failed: 0 });
  });

  it('cleans delayed jobs older than five seconds, and leaves the fair queue alone', async () => {
    const timestamp = Date.now() - DAY_MS;
    const young = await enqueue('Tomorrow?', DAY_MS);
    const { id: old } = await bullmq.add('Old', { question: 'Old?' }, { timestamp, delay: 2 * DAY_MS });
    const inLine = { timestamp, delay: parkedDelayMs(timestamp), jobId: 'job_in_line' };
    const { id: waiting = '' } = await bullmq.add('Now', { question: 'Now?' }, inLine);
    expect((await ask('/o3/clean/delayed', 'PUT')).status).toBe(200);
    expect((await tab('delayed')).jobs.map(({ id }) => id)).toEqual([young]);
    expect((await tab('waiting')).jobs.map(({ id }) => id)).toEqual([waiting]);
    expect(await bullmq.getJob(String(old))).toBeUndefined();
    expect((await ask(`/o3/${waiting}/clean`, 'PUT')).status).toBe(204);
    expect((await tab('waiting')).counts).toMatchObject({ waiting: 0 });
  });

  describeInChromium('in a browser', (windows) => {
    it('has tabs for our statuses, and says how many jobs are before a waiting one', async () => {
      for (const question of ['First?', 'Second?']) await enqueue(question);
      const page = await windows.open();
      page.setDefaultTimeout(3 * TIME_LIMIT_MS);
      await page.goto(`${instance.url}/board`);
      await page
        .getByRole('link', { name: /^waiting/i })
        .first()
        .waitFor();
      expect(
        await page
          .getByRole('link', { name: /^(waiting.children|prioritized|paused)/i })
          .filter({ visible: true })
          .count(),
      ).toBe(0);
      await page.getByRole('navigation').getByRole('link', { name: 'o3', exact: true }).click();
      await page.getByRole('link', { name: /^waiting 2/i }).click();
      await page.getByRole('heading', { name: 'waiting · Second?' }).waitFor();
      await page.getByText('position:').first().waitFor();
      expect(await page.locator('main').innerText()).not.toContain('2039');
    });
  });
});

function endOf(told: unknown): unknown {
  const { status, code } = told as { status?: string; code?: string };
  return code ?? status;
}
