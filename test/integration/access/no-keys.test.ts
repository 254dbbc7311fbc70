import { pino } from 'pino';
import { startProducer } from '../../../producer/producer.ts';
import { defaultModels } from '../../../src/config/file.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };

let open: Instance;
beforeAll(async () => {
  open = await startInstance({ workers: 0 });
});
afterAll(() => open.stop());

describe('an instance without keys', () => {
  const body = { question: 'Who pays for this?' };
  const jobs = async (): Promise<number> => {
    const { body: page } = await call(open.url, 'GET', '/jobs?limit=100');
    return (page as { jobs: unknown[] }).jobs.length;
  };

  it('has no login, and warns once in its log', async () => {
    expectProblem(await call(open.url, 'GET', '/login'), 404, 'route_not_found');
    const warnings = open.logLines.filter((line) => line.includes('"level":"warn"'));
    expect(warnings).toEqual([expect.stringContaining('O3Q_KEYS is not set')]);
  });

  it.each([
    ['POST', '/jobs'],
    ['POST', '/jobs/some/cancel'],
    ['DELETE', '/jobs/some'],
    ['PUT', '/board/api/queues/o3/pause'],
    ['POST', '/board/api/queues/o3/add'],
    ['OPTIONS', '/jobs'],
  ])('refuses %s %s from a page of another site', async (method, path) => {
    const before = await jobs();
    const { host, port } = new URL(open.url);
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      // A form can send this to any site without a preflight.
      { 'sec-fetch-site': 'cross-site', 'content-type': 'text/plain' },
      { 'sec-fetch-site': 'same-site', origin: `http://localhost:${port}` },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `https://${host}.evil.example` },
    ]) {
      const options = { headers, ...(method === 'POST' && { body }) };
      expectProblem(await call(open.url, method, path, options), 403, 'forbidden');
    }
    expect(await jobs()).toBe(before);
  });

  it('accepts what programs and its own pages send', async () => {
    const origin = open.url;
    for (const headers of [{}, SAME_ORIGIN, { origin }, { ...SAME_ORIGIN, origin }]) {
      expect(await call(open.url, 'POST', '/jobs', { body, headers })).toMatchObject({ status: 202 });
    }
  });

  it.each(['evil.example', 'evil.example:3000', 'localhost.evil.example'])(
    'refuses the host name %j, which another site may have pointed at it',
    async (host) => {
      for (const [method, path] of [
        ['GET', '/jobs'],
        ['GET', '/board'],
        ['POST', '/jobs'],
      ] as const) {
        const options = { headers: { host, ...SAME_ORIGIN }, ...(method === 'POST' && { body }) };
        expectProblem(await call(open.url, method, path, options), 403, 'forbidden');
      }
    },
  );

  it.each(['localhost', 'localhost:1234', '[::1]:3000', '127.0.0.1', '192.168.1.5:3000'])(
    'may be called by the host %s',
    async (host) => {
      expect(await call(open.url, 'GET', '/jobs', { headers: { host } })).toMatchObject({ status: 200 });
    },
  );

  it('answers for its health by any host name', async () => {
    const headers = { host: 'o3.internal.example' };
    expect(await call(open.url, 'GET', '/readyz', { headers })).toMatchObject({ status: 200 });
  });
});

it.each(['start', 'producer'])(
  'o3q %s does not start without keys where other machines could reach it',
  async (command) => {
    const { code, stdout, stderr } = await o3q([command], { environment: { HOST: '0.0.0.0', PORT: '0' } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trim().split('\n')).toEqual([expect.stringMatching(/HOST=0\.0\.0\.0 .*set O3Q_KEYS/)]);
  },
);

it('a producer that other machines could reach does not start without keys', async () => {
  const start = startProducer({
    settings: defaultModels(),
    redisUrl: open.redis.url,
    prefix: 'o3q',
    host: '0.0.0.0',
    port: 0,
    logger: pino({ level: 'silent' }),
  });
  await expect(start).rejects.toThrow(/HOST=0\.0\.0\.0 .*set O3Q_KEYS/);
});
