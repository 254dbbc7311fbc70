import { O3Client } from '../../../src/client/o3-client.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';
import { type Answer, call, reached } from '../../support/http/http-calls.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/**
 * A job has three ids: its own, that of its response, and that of its chat completion. Each door takes all.
 */

let instance: Instance;
let completed: string;
beforeAll(async () => {
  const models = quickModels();
  const o3 = models.models['o3'];
  if (o3 === undefined) throw new Error('expected o3');
  const sol = { ...o3, upstream: 'gpt-5.6-sol' };
  instance = await startInstance({
    models: { models: { o3, sol, moon: sol, dated: { ...o3, upstream: 'gpt-5-2025-08-07' } } },
  });
  completed = await enqueued({ question: 'Done?' });
  await reached(instance.url, completed, 'completed');
});
afterAll(() => instance.stop());

async function enqueued(request: object): Promise<string> {
  return ((await call(instance.url, 'POST', '/jobs', { body: request })).body as { id: string }).id;
}
/** A job that has not started, whose response can be cancelled. */
const waiting = () =>
  enqueued({ request: { model: 'o3', input: 'Later?', background: true }, delay_ms: 3_600_000 });
const cancelled = async () => {
  const id = await waiting();
  await call(instance.url, 'POST', `/jobs/${id}/cancel`);
  return id;
};
const post = (path: string, body?: object): Promise<Answer> =>
  call(instance.url, 'POST', path, { ...(body && { body }) });
const get = (path: string): Promise<Answer> => call(instance.url, 'GET', path);
const idsOf = async (model: string): Promise<string[]> =>
  ((await get(`/jobs?model=${model}`)).body as { jobs: { id: string }[] }).jobs.map(({ id }) => id);

const digits = (id: string): string => id.slice('job_'.length);
const FORMS: [string, (id: string) => string][] = [
  ['a job', (id) => id],
  ['a response', (id) => `resp_${digits(id)}`],
  ['a chat completion', (id) => `chatcmpl-${digits(id)}`],
];
interface Door {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** Default: the completed job. */
  job?: () => Promise<string>;
  status: number;
}
const DOORS: Door[] = [
  { method: 'GET', path: '/jobs/:id', status: 200 },
  { method: 'GET', path: '/jobs/:id/result', status: 200 },
  { method: 'GET', path: '/jobs/:id/events', status: 200 },
  { method: 'POST', path: '/jobs/:id/events/token', status: 200 },
  { method: 'POST', path: '/jobs/:id/cancel', job: waiting, status: 200 },
  { method: 'POST', path: '/jobs/:id/retry', job: cancelled, status: 202 },
  { method: 'DELETE', path: '/jobs/:id', job: cancelled, status: 204 },
  { method: 'GET', path: '/v1/responses/:id', status: 200 },
  { method: 'GET', path: '/v1/responses/:id/input_items', status: 200 },
  { method: 'POST', path: '/v1/responses/:id/cancel', job: waiting, status: 200 },
  { method: 'DELETE', path: '/v1/responses/:id', job: cancelled, status: 200 },
];
const PAGES: Door[] = [
  { method: 'GET', path: '/console/jobs/:id', status: 200 },
  { method: 'POST', path: '/console/jobs/:id/cancel', job: waiting, status: 303 },
  { method: 'POST', path: '/console/jobs/:id/retry', job: cancelled, status: 303 },
  { method: 'POST', path: '/console/jobs/:id/delete', job: cancelled, status: 303 },
];

test('the table has every route with the id of a job', () => {
  const routes = everyRoute().filter(({ path }) => path.includes('/:id') && !path.startsWith('/actions'));
  expect(DOORS.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(
    routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort(),
  );
});

describe.each(FORMS)('the id of %s', (_of, form) => {
  it.each([...DOORS, ...PAGES])('is taken by $method $path', async ({ method, path, job, status }) => {
    const id = job === undefined ? completed : await job();
    const answer = await call(instance.url, method, path.replace(':id', form(id)));
    expect({ status: answer.status, body: answer.body }).toMatchObject({ status });
    if (path === '/jobs/:id' && method === 'GET') expect(answer.body).toMatchObject({ id });
  });

  it('is taken as that of an earlier response by every door that takes requests', async () => {
    const request = { model: 'o3', input: 'And then?', previous_response_id: form(completed) };
    const upstreamId = (
      (await call(instance.url, 'GET', `/jobs/${completed}`)).body as { upstream_id: string }
    ).upstream_id;
    expect(await post('/v1/responses', request)).toMatchObject({ status: 200 });
    expect(await post('/jobs?wait=30', { request })).toMatchObject({ body: { status: 'completed' } });
    expect(await post('/v1/responses/input_tokens', request)).toMatchObject({ status: 200 });
    const bulk = (await post('/jobs/bulk', { jobs: [{ request }] })).body as {
      outcomes: { job: { id: string } }[];
    };
    const { id = '' } = bulk.outcomes[0]?.job ?? {};
    await reached(instance.url, id, 'completed');
    const compared = {
      ...request,
      previous_response_id: undefined,
      prompt_cache_options: { comparison_response_id: form(completed) },
    };
    expect(await post('/jobs?wait=30', { request: compared })).toMatchObject({
      body: { status: 'completed' },
    });
    // The simulator knows its own ids only, and would refuse any other.
    expect(upstreamId).toMatch(/^resp_[0-9a-f]{48}$/);
  });

  it('is taken by O3Client, O3Queue and the filter of lists', async () => {
    const client = new O3Client({ url: instance.url });
    const queue = new O3Queue({ redisUrl: instance.redis.url, models: instance.models.models });
    try {
      for (const each of [client, queue]) {
        const id = form(completed);
        expect(await each.get(id)).toMatchObject({ id: completed });
        expect(await each.wait(id)).toMatchObject({ id: completed });
        expect(await each.result(id)).toMatchObject({ status: 'completed' });
        const types: string[] = [];
        for await (const { type } of each.events(id)) types.push(type);
        expect(types.at(-1)).toBe('done');
        expect((await each.list({ id: id.slice(0, -4) })).jobs).toMatchObject([{ id: completed }]);
      }
    } finally {
      await queue.close();
    }
  });
});

describe('the name of a snapshot', () => {
  it.each([
    ['o3-2025-04-16', 'o3'],
    ['gpt-5-2025-08-07', 'dated'],
  ])('%s finds the model %s, at every door', async (name, model) => {
    expect(await post('/jobs', { model: name, question: 'Why?' })).toMatchObject({ body: { model } });
    expect(await post('/jobs?wait=30', { request: { model: name, input: 'Why?' } })).toMatchObject({
      body: { model, status: 'completed' },
    });
    expect(await post('/v1/responses', { model: name, input: 'Why?' })).toMatchObject({ status: 200 });
    const chat = { model: name, messages: [{ role: 'user', content: 'Why?' }] };
    expect(await post('/v1/chat/completions', chat)).toMatchObject({ status: 200 });
    expect(await post('/v1/responses/compact', { model: name, input: 'Why?' })).toMatchObject({
      status: 200,
    });
    expect(await get(`/v1/models/${name}`)).toMatchObject({
      status: 200,
      body: { id: name, object: 'model' },
    });
    const listed = await idsOf(name);
    expect(listed.length).toBeGreaterThan(0);
    expect(listed).toEqual(await idsOf(model));
    expect(await post('/jobs/cancel', { filter: { model: name }, dry_run: true })).toMatchObject({
      status: 200,
    });
    expect(await post(`/models/${name}/resume`, {})).toMatchObject({ status: 200, body: { model } });
  });

  it.each([
    ['of a model that is not configured', 'gpt-2-2025-01-01'],
    ['of two configured models', 'gpt-5.6-sol-2026-05-01'],
    ['of an alias, whose upstream model has another name', 'sol-2026-05-01'],
    ['of another day, where the day is configured', 'gpt-5-2025-08-08'],
    ['without its date, where the date is configured', 'gpt-5'],
    ['of a fallback or an upstream model without a date', 'gpt-5.6-sol'],
  ])('%s is refused', async (_of, model) => {
    expect(await post('/jobs', { model, question: 'Why?' })).toMatchObject({
      status: 400,
      body: { code: 'unknown_model' },
    });
    expect(await post('/v1/responses', { model, input: 'Why?' })).toMatchObject({ status: 404 });
    expect(await get(`/v1/models/${model}`)).toMatchObject({ status: 404 });
    expect(await get(`/jobs?model=${model}`)).toMatchObject({ status: 400 });
  });
});
