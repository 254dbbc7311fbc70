import { Redis } from 'ioredis';
import { O3Client } from '../../../src/client/o3-client.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventually } from '../../support/eventually.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { serverOfThisMachine } from '../../support/redis/redis-server.ts';

const processes = createCliProcesses();
afterEach(() => processes.end());

/** It may have to fetch a Redis first: its folder is empty. */
const LIMIT_MS = 60_000;

test(
  'the process ends when its embedded Redis dies, also while a job is active',
  async () => {
    const started = await processes.start(['start'], {
      PORT: '0',
      O3Q_REDIS_BIN: await redisOfThisMachine(),
    });
    const url = await started.says(/o3-queue ready on (\S+)/);
    const port = /on 127\.0\.0\.1:(\d+), data/.exec(started.stderr())?.[1];
    const redis = new Redis(Number(port));
    const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
    redis.disconnect();
    const client = new O3Client({ url });
    const { id } = await client.enqueue({ question: 'Still there?', metadata: { sim: 'stall' } });
    await eventually(async () => expect((await client.get(id)).status).toBe('active'));
    process.kill(pid, 'SIGKILL');
    const { code, stderr } = await started.exited;
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('The embedded Redis has died'),
    });
  },
  LIMIT_MS,
);

test(
  'the start warns once of the built-in fallbacks, and of a model whose last day is near or over',
  async () => {
    const started = await processes.start(['start'], {
      PORT: '0',
      O3Q_REDIS_BIN: await redisOfThisMachine(),
    });
    await started.says(/o3-queue ready on (\S+)/);
    const warnings = (): Record<string, unknown>[] =>
      started
        .stderr()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ level, model }) => level === 'warn' && model === 'o3');
    await eventually(() =>
      expect(warnings()).toEqual([
        expect.objectContaining({
          msg: 'built-in fallbacks answer, at their own prices, once the upstream lacks the model',
          fallbacks: ['gpt-6.1-sol', 'gpt-6.2-sol'],
          setting: 'models.o3.fallbacks',
        }),
        expect.objectContaining({
          msg: expect.stringMatching(/^the upstream (will|has) shut down a model$/),
          ...{ upstream_model: 'o3', shutdown_date: '2026-12-11', takes_over: 'gpt-6.1-sol' },
          setting: 'models.o3.fallbacks',
        }),
      ]),
    );
  },
  LIMIT_MS,
);

async function redisOfThisMachine(): Promise<string> {
  return (await resolveServer(serverOfThisMachine())).path;
}
