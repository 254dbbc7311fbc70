import type { JobResult } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';
import { openSse, readSse, type SseMessage } from '../../support/http/sse-reader.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());

const eventsOf = (id: string): string => `${instance.url}/jobs/${id}/events`;

async function answerOf(id: string): Promise<string | null> {
  return ((await call(instance.url, 'GET', `/jobs/${id}/result`)).body as JobResult).answer;
}

const asked = (input: string, metadata: Record<string, string>): object => ({
  input,
  reasoning: { summary: 'auto' },
  metadata,
});

/** What a reader shows: the deltas of the last attempt. */
function shown(messages: readonly SseMessage[]): string {
  let text = '';
  for (const { event, data } of messages) {
    if (event === 'attempt') text = '';
    if (event === 'delta') text += (data as { text: string }).text;
  }
  return text;
}

const kinds = (messages: readonly SseMessage[]): string[] =>
  messages.map(({ event }) => event).filter((event, i, all) => event !== all[i - 1]);

it('the events of a job come while it runs, from its first status to its end', async () => {
  const { id } = await enqueue(instance.url, {
    request: asked('Slowly?', { sim_think_ms: '1500', sim_deltas: '30' }),
  });
  const messages = await readSse(eventsOf(id));
  expect(kinds(messages)).toEqual(['status', 'reasoning', 'delta', 'done']);
  expect(messages.filter(({ event }) => event === 'delta').length).toBeGreaterThan(3);
  expect(shown(messages)).toBe(await answerOf(id));
  expect(messages.at(-1)?.data).toMatchObject({ id, status: 'completed' });
  expect(messages[0]?.data).toMatchObject({ id });
});

it.each([
  ['that was streamed', true],
  ['that was not streamed', false],
])('the events of a finished job %s are the same as while it ran', async (_how, stream) => {
  const { id } = await enqueue(instance.url, { request: asked('Again?', { sim_deltas: '9' }), stream });
  await reached(instance.url, id, 'completed');
  const messages = await readSse(eventsOf(id));
  expect(kinds(messages)).toEqual(['reasoning', 'delta', 'done']);
  expect(shown(messages)).toBe(await answerOf(id));
  expect(await readSse(eventsOf(id))).toEqual(messages);
});

it('a reader that comes back misses nothing and sees nothing twice', async () => {
  const { id } = await enqueue(instance.url, {
    question: 'Cut off?',
    metadata: { sim_think_ms: '1500', sim_deltas: '40' },
  });
  const seen: SseMessage[] = [];
  let lastId = '';
  for (let drops = 0; seen.at(-1)?.event !== 'done'; drops += 1) {
    const { messages } = await openSse(eventsOf(id), lastId === '' ? {} : { 'last-event-id': lastId });
    let read = 0;
    for await (const message of messages) {
      seen.push(message);
      lastId = message.id ?? lastId;
      if (message.event === 'delta') read += 1;
      if (read === 2 && drops < 5) messages.drop();
    }
  }
  expect(shown(seen)).toBe(await answerOf(id));
  const numbered = seen.flatMap(({ id: number }) => (number === undefined ? [] : [Number(number)]));
  expect(numbered).toEqual([...new Set(numbered)].toSorted((a, b) => a - b));
  expect(await readSse(eventsOf(id), { 'last-event-id': lastId })).toEqual([]);
  expect((await openSse(eventsOf(id), { 'last-event-id': lastId })).status).toBe(204);
});

it('another attempt is announced, and its deltas add up to the answer', async () => {
  const { id } = await enqueue(instance.url, {
    question: 'Twice?',
    metadata: { sim: 'failed', sim_times: '1', sim_think_ms: '600', sim_deltas: '20' },
  });
  const messages = await readSse(eventsOf(id));
  expect(messages.find(({ event }) => event === 'attempt')?.data).toMatchObject({
    attempt: 2,
    reason: expect.stringContaining('response_failed'),
  });
  expect(shown(messages)).toBe(await answerOf(id));
});

it('the events of a failed or cancelled job end with its final status', async () => {
  const { id } = await enqueue(instance.url, { question: 'Bad?', metadata: { sim: '400' } });
  expect((await readSse(eventsOf(id))).at(-1)).toMatchObject({
    event: 'done',
    data: { id, status: 'failed', error: { code: 'invalid_request' } },
  });
  const endless = await enqueue(instance.url, { question: 'No?', metadata: { sim_think_ms: '60000' } });
  const reading = readSse(eventsOf(endless.id));
  await reached(instance.url, endless.id, 'active');
  await call(instance.url, 'POST', `/jobs/${endless.id}/cancel`);
  expect((await reading).at(-1)).toMatchObject({ event: 'done', data: { status: 'cancelled' } });
});

it('the events of a job end when the job is deleted', async () => {
  const { id } = await enqueue(instance.url, { question: 'Gone?', delay_ms: 600_000 });
  const reading = readSse(eventsOf(id));
  await eventually(async () =>
    expect(await call(instance.url, 'GET', `/jobs/${id}`)).toMatchObject({ status: 200 }),
  );
  await call(instance.url, 'POST', `/jobs/${id}/cancel`);
  expect(kinds(await reading)).toEqual(['status', 'done']);
  await call(instance.url, 'DELETE', `/jobs/${id}`);
  expectProblem(await call(instance.url, 'GET', `/jobs/${id}/events`), 404, 'job_not_found');
});

it('a bad Last-Event-ID is refused', async () => {
  const { id } = await enqueue(instance.url, { question: 'Where?' });
  const refused = await call(instance.url, 'GET', `/jobs/${id}/events`, {
    headers: { 'last-event-id': 'x' },
  });
  expectProblem(refused, 400, 'invalid_request');
});
