import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createSimulator } from '../../../simulator/simulator.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventually } from '../../support/eventually.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { serverOfThisMachine } from '../../support/redis/redis-server.ts';

const processes = createCliProcesses();
afterEach(() => processes.end());

/** It may have to fetch a Redis first: its folder is empty. */
const LIMIT_MS = 180_000;

test(
  'the process ends when its embedded Redis dies, also while a job is active',
  async () => {
    const started = await processes.start(['start'], {
      PORT: '0',
      O3Q_REDIS_BIN: await redisOfThisMachine(),
    });
    const url = await started.says(/o3-queue ready on (\S+)/);
    const port = /on 127\.0\.0\.1:(\d+), data/.exec(started.stderr())?.[1];
    // Another program of this machine can do nothing with it.
    const stranger = new Redis(Number(port), { lazyConnect: true, retryStrategy: null });
    stranger.on('error', () => {});
    await expect(stranger.connect()).rejects.toThrow();
    const password = readFileSync(join(started.folder, '.data/redis/password'), 'utf8').trim();
    const redis = new Redis(Number(port), { password });
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
  'the first start, without an upstream and without keys, warns of these two and of nothing else',
  async () => {
    const started = await processes.start(['start'], {
      PORT: '0',
      O3Q_REDIS_BIN: await redisOfThisMachine(),
    });
    const client = new O3Client({ url: await started.says(/o3-queue ready on (\S+)/) });
    const { id } = await client.enqueue({ question: 'Which model are you?' });
    expect(await client.wait(id)).toMatchObject({ status: 'completed', result: { fallback_from: null } });
    expect(logged(started.stderr()).filter(({ level }) => level !== 'info')).toEqual([
      expect.objectContaining({ level: 'warn', msg: expect.stringContaining('THE ANSWERS ARE SIMULATED') }),
      expect.objectContaining({ level: 'warn', msg: expect.stringContaining('O3Q_KEYS is not set') }),
    ]);
  },
  LIMIT_MS,
);

test(
  'a start with an upstream names the built-in fallbacks, and warns of a model whose last day is near or over',
  async () => {
    const upstream = createSimulator();
    const started = await processes.start(['start'], {
      PORT: '0',
      O3Q_REDIS_BIN: await redisOfThisMachine(),
      OPENAI_BASE_URL: (await upstream.listen(0)).url,
    });
    await started.says(/o3-queue ready on (\S+)/);
    await eventually(() =>
      expect(logged(started.stderr()).filter(({ model }) => model === 'o3')).toEqual([
        expect.objectContaining({
          level: 'info',
          msg: 'built-in fallbacks answer, at their own prices, once the upstream lacks the model',
          fallbacks: ['gpt-6.1-sol', 'gpt-6.2-sol'],
          setting: 'models.o3.fallbacks',
        }),
        expect.objectContaining({
          level: 'warn',
          msg: expect.stringMatching(/^the upstream (will|has) shut down a model$/),
          ...{ upstream_model: 'o3', shutdown_date: '2026-12-11', takes_over: 'gpt-6.1-sol' },
          setting: 'models.o3.fallbacks',
        }),
      ]),
    );
    await upstream.close();
  },
  LIMIT_MS,
);

function logged(stderr: string): Record<string, unknown>[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function redisOfThisMachine(): Promise<string> {
  return (await resolveServer(serverOfThisMachine())).path;
}
