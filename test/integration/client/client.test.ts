import { O3Client } from '../../../src/client/o3-client.ts';
import { isFinishedJob } from '../../../src/job/job.ts';
import { startTestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

// What O3Client has in common with O3Queue is tested in test/contract/job-queue.test.ts.

let instance: Instance;
let client: O3Client;

beforeAll(async () => {
  instance = await startInstance();
  client = new O3Client({ url: instance.url });
});
afterAll(() => instance.stop());

it('a refusal is an O3ClientError with the status, the code and the message of the instance', async () => {
  const refused = client.enqueue({ question: 'Why?', model: 'gpt-nonsense' });
  await expect(refused).rejects.toMatchObject({
    name: 'O3ClientError',
    status: 400,
    code: 'unknown_model',
    message: expect.stringContaining('gpt-nonsense'),
  });
});

it('list sends every field of its query', async () => {
  const { id } = await client.enqueue({ request: { input: 'Why?', metadata: { sim: '400' } } });
  await client.wait(id);
  const page = await client.list({ status: 'failed', model: 'o3', limit: 5 });
  expect(page.jobs.map((job) => job.id)).toContain(id);
  expect(page.jobs.every((job) => job.status === 'failed')).toBe(true);
});

it('while Redis is away a read waits until it is back, and an enqueue is refused once', async () => {
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
