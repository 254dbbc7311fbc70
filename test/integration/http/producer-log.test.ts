import { Redis } from 'ioredis';
import { type Answer, call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());

const get = (path: string): Promise<Answer> => call(instance.url, 'GET', path);

it('an unexpected error is logged without the question, and the caller learns no details', async () => {
  const { id } = await enqueue(instance.url, { question: 'A secret question?', delay_ms: 3_600_000 });
  const redis = new Redis(instance.redis.url);
  // Another program has overwritten the record.
  await redis.set(`o3q:run:{o3}:${id}`, 'nonsense');
  const answer = await get(`/jobs/${id}`);
  expectProblem(answer, 500, 'internal_error');
  expect(answer.body).toMatchObject({
    detail: 'An unexpected error happened; the log of the producer has its details',
  });
  const loud = instance.logLines.filter((line) => line.includes('unexpected error'));
  expect(loud.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({
      level: 'error',
      method: 'GET',
      path: `/jobs/${id}`,
      error: expect.stringMatching(/WRONGTYPE.*\n +at /s),
    }),
  ]);
  await redis.del(`o3q:run:{o3}:${id}`);
  redis.disconnect();
});

it('no question or answer is logged above debug, and no key is ever logged', async () => {
  const { id } = await enqueue(instance.url, {
    question: 'An unmistakable question?',
    metadata: { sim: '400' },
  });
  await reached(instance.url, id, 'failed');
  const lines = instance.logLines.filter((line) => !line.includes('"level":"debug"'));
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.filter((line) => line.includes('unmistakable'))).toEqual([]);
  expect(instance.logLines.filter((line) => line.includes('sk-test-key'))).toEqual([]);
});
