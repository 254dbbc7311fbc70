import { O3Client } from '../../../src/client/o3-client.ts';
import type { JobEvent } from '../../../src/job/event.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
let client: O3Client;
beforeAll(async () => {
  instance = await startInstance();
  client = new O3Client({ url: instance.url });
});
afterAll(() => instance.stop());

async function read(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  const all: JobEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

function textOf(events: readonly JobEvent[]): string {
  return events.map((event) => (event.type === 'delta' ? event.data.text : '')).join('');
}

async function answerOf(id: string): Promise<string | null> {
  const outcome = await client.result(id);
  if (outcome.status !== 'completed') throw new Error(`expected an answer, got ${outcome.status}`);
  return outcome.result.answer;
}

it('events are the same over HTTP and straight from Redis', async () => {
  const { id } = await client.enqueue({
    question: 'Why?',
    metadata: { sim_think_ms: '600', sim_deltas: '12' },
  });
  const events = await read(client.events(id));
  expect(events[0]).toMatchObject({ type: 'status', data: { id } });
  expect(events.at(-1)).toMatchObject({ type: 'done', data: { status: 'completed' } });
  expect(textOf(events)).toBe(await answerOf(id));
  const queue = new O3Queue({ ...instance.models, redisUrl: instance.redis.url });
  const again = await read(client.events(id));
  expect(await read(queue.events(id))).toEqual(again);
  expect(textOf(again)).toBe(textOf(events));
  await queue.close();
});

it('a connection that breaks again and again loses nothing and repeats nothing', async () => {
  const proxy = await openTcpProxy(instance.url);
  try {
    const throughProxy = new O3Client({ url: proxy.url });
    const { id } = await client.enqueue({
      question: 'Cut?',
      metadata: { sim_think_ms: '2500', sim_deltas: '60' },
    });
    const seen: JobEvent[] = [];
    let deltas = 0;
    for await (const event of throughProxy.events(id)) {
      seen.push(event);
      if (event.type === 'delta') deltas += 1;
      if (event.type === 'delta' && deltas % 3 === 0 && deltas < 12) proxy.reset();
    }
    expect(textOf(seen)).toBe(await answerOf(id));
    const numbers = seen.flatMap((event) => ('number' in event ? [event.number] : []));
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    expect(await read(throughProxy.events(id, { after: numbers.at(-1) ?? 0 }))).toEqual([]);
  } finally {
    await proxy.close();
  }
});

it('a stream of events rejects with the reason of its signal', async () => {
  const { id } = await client.enqueue({ question: 'For ever?', metadata: { sim_think_ms: '60000' } });
  const controller = new AbortController();
  const reading = read(client.events(id, { signal: controller.signal }));
  controller.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
  await client.cancel(id);
});

it('the events of a job that does not exist fail at once', async () => {
  await expect(read(client.events('job_nobody'))).rejects.toMatchObject({ code: 'job_not_found' });
});
