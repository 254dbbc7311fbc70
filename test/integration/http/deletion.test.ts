import { Redis } from 'ioredis';
import { type Answer, call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());

const get = (path: string): Promise<Answer> => call(instance.url, 'GET', path);
const remove = (id: string): Promise<Answer> => call(instance.url, 'DELETE', `/jobs/${id}`);

it.each([
  ['completed', {}],
  ['failed', { metadata: { sim: '400' } }],
] as const)('a %s job is deleted with everything that it left in Redis', async (status, request) => {
  const { id } = await enqueue(instance.url, { question: 'Forget me?', ...request });
  await reached(instance.url, id, status);
  expect(await remove(id)).toMatchObject({ status: 204, body: '' });
  for (const [method, rest] of [
    ['GET', ''],
    ['GET', '/result'],
    ['POST', '/cancel'],
    ['POST', '/retry'],
    ['DELETE', ''],
  ]) {
    expectProblem(await call(instance.url, method ?? '', `/jobs/${id}${rest}`), 404, 'job_not_found');
  }
  expect((await get('/jobs?q=Forget')).body).toMatchObject({ jobs: [], next_cursor: null });
  expect(await keysOf(id)).toEqual([]);
});

it('a waiting job cannot be deleted', async () => {
  const { id } = await enqueue(instance.url, { question: 'Keep me?', delay_ms: 3_600_000 });
  const refused = await remove(id);
  expectProblem(refused, 409, 'job_not_finished');
  expect(refused.body).toMatchObject({
    detail: `Job ${id} is delayed: only a finished job can be retried or deleted`,
  });
  expect(await viewOf(instance.url, id)).toMatchObject({ status: 'delayed' });
});

async function keysOf(part: string): Promise<string[]> {
  const redis = new Redis(instance.redis.url);
  const keys = (await redis.keys(`*${part}*`)).sort();
  redis.disconnect();
  return keys;
}
