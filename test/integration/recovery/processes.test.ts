import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { JobView } from '../../../src/job/view.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { eventually } from '../../support/eventually.ts';
import { type CliProcess, createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const PROCESS_LIMIT_MS = 180_000;
/** A lock of 15 s, looked after every 5 s, and then what was left of the answer. */
const RECOVERY_LIMIT_MS = 60_000;
/** Shorter than the answers take, so that all of them can be seen in flight at one moment. */
const IN_FLIGHT_LIMIT_MS = 5500;
/** A stack trace: where one appears, somebody was told less than could be said. */
const STACK = /^ {4}at /m;

const cli = createCliProcesses();
let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterEach(() => cli.end());
afterAll(() => redis.stop());

describe('the processes of an instance, one by one', () => {
  it(
    'answer a job, are healthy by the checks of the containers, and end with 0 on SIGTERM',
    async () => {
      const { settings, simulator, upstream, producer, url } = await startInstance({ thinkMs: 50 });
      const ports = [await findFreePort(), await findFreePort()];
      const workers = await Promise.all(
        ports.map((port) => startWorker(settings, upstream, { O3Q_WORKER_PORT: String(port) })),
      );
      const client = new O3Client({ url });
      const job = await client.enqueue({ question: 'Why is the sky blue?' });
      expect(await client.wait(job.id, { timeoutMs: 30_000 })).toMatchObject({ status: 'completed' });

      const upstreamPort = new URL(upstream).port;
      expect(await healthOfSimulator(upstreamPort)).toBe(0);
      expect(await healthOfImage({ PORT: new URL(url).port })).toBe(0);
      for (const port of ports) expect(await healthOfImage({ O3Q_WORKER_PORT: String(port) })).toBe(0);
      expect(await bodyOf(`http://127.0.0.1:${ports[0]}/livez`)).toEqual({ status: 'ok' });
      const counted = await Promise.all(ports.map(metricsOf));
      expect(counted.map(({ o3q_purchases_total: bought = 0 }) => bought).toSorted()).toEqual([0, 1]);
      expect(counted[0]).toMatchObject({
        o3q_uncertain_purchases_total: 0,
        o3q_adoptions_total: 0,
        o3q_active_jobs: 0,
      });

      for (const process of [producer, ...workers, simulator]) {
        process.kill('SIGTERM');
        const { code, stderr } = await process.exited;
        expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('stopping') });
        expect(stderr).not.toMatch(/"level":"(error|fatal)"/);
        expect(stderr).not.toMatch(STACK);
      }
      expect(await healthOfImage({ PORT: new URL(url).port })).toBe(1);
      expect(await healthOfImage({ O3Q_WORKER_PORT: String(ports[0]) })).toBe(1);
    },
    PROCESS_LIMIT_MS,
  );

  it(
    'lose no job and buy none twice when the worker that holds them all is killed',
    async () => {
      const { settings, upstream, url } = await startInstance({ thinkMs: 8000 });
      const killed = await startWorker(settings, upstream);
      const client = new O3Client({ url });
      const ids = await inFlight(client, 20);
      killed.kill('SIGKILL');
      expect((await killed.exited).code).toBeNull();

      const other = await startWorker(settings, upstream);
      const ends = await Promise.all(
        ids.map(async (id) => client.wait(id, { timeoutMs: RECOVERY_LIMIT_MS })),
      );
      expect(statusesOf(ends)).toEqual({ completed: 20 });
      expect(await purchasesOf(upstream)).toBe(20);
      expect(other.stderr().match(/recovered from a worker that died/g)).toHaveLength(20);
    },
    PROCESS_LIMIT_MS + RECOVERY_LIMIT_MS,
  );

  it(
    'hand their jobs on in a deploy: released at SIGTERM, adopted by the next worker, not bought again',
    async () => {
      const { settings, upstream, url } = await startInstance({ thinkMs: 6000 });
      const old = await startWorker(settings, upstream);
      const client = new O3Client({ url });
      const ids = await inFlight(client, 5);
      old.kill('SIGTERM');
      const { code, stderr } = await old.exited;
      expect(code).toBe(0);
      expect(new Set(releasedIn(stderr))).toEqual(new Set(ids));
      expect((await client.list({ status: 'waiting' })).jobs).toHaveLength(5);

      await startWorker(settings, upstream);
      const ends = await Promise.all(ids.map(async (id) => client.wait(id, { timeoutMs: 60_000 })));
      expect(statusesOf(ends)).toEqual({ completed: 5 });
      expect(ends.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1, 1]);
      expect(await purchasesOf(upstream)).toBe(5);
    },
    PROCESS_LIMIT_MS,
  );
});

describe('a process that cannot start', () => {
  it(
    'is a worker without an upstream',
    async () => {
      const { code, stderr } = await endOf(['worker'], { REDIS_URL: redis.url });
      expect(code).toBe(2);
      expect(stderr).toContain('A worker needs an upstream: set OPENAI_API_KEY, or OPENAI_BASE_URL');
      expect(stderr).not.toMatch(STACK);
    },
    PROCESS_LIMIT_MS,
  );

  it.each([
    ['producer', { PORT: '0' }],
    ['worker', { OPENAI_BASE_URL: 'http://127.0.0.1:9/v1' }],
  ])(
    'is a %s whose Redis does not answer for 5 s: it says which, but not the password',
    async (command, environment) => {
      const port = await findFreePort();
      const { code, stdout, stderr } = await endOf([command], {
        ...environment,
        REDIS_URL: `redis://:hush-hush@127.0.0.1:${port}`,
      });
      expect(code).toBe(1);
      expect(stderr).toContain(`Redis at redis://:***@127.0.0.1:${port} cannot be used`);
      expect(stdout + stderr).not.toContain('hush-hush');
      expect(stderr).not.toMatch(STACK);
      expect(stderr).toContain('(waited 5 s)');
    },
    PROCESS_LIMIT_MS,
  );

  it(
    'is one with variables that are wrong: it names all of them in one message',
    async () => {
      const { code, stderr } = await endOf(['producer'], { O3Q_CONCURENCY: '5', PORT: 'eighty' });
      expect(code).toBe(1);
      expect(stderr).toContain('The configuration has 2 problems');
      expect(stderr).toContain('O3Q_CONCURENCY: is not a variable of o3-queue');
      expect(stderr).toContain('PORT: expected a whole number from 0 to 65535, got "eighty"');
      expect(stderr).not.toMatch(STACK);
    },
    PROCESS_LIMIT_MS,
  );

  it.each([['producer'], ['start']])(
    'is a %s whose port is taken: it has not touched a Redis yet',
    async (command) => {
      const holder = createServer();
      await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
      const address = holder.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      try {
        const { code, stderr } = await endOf([command], { PORT: String(port), O3Q_REDIS_BIN: '/nowhere' });
        expect(code).toBe(1);
        expect(stderr.trim().split('\n')).toEqual([
          expect.stringContaining(`Port ${port} of 127.0.0.1 is taken, perhaps by another o3-queue`),
        ]);
      } finally {
        await new Promise((resolve) => holder.close(resolve));
      }
    },
    PROCESS_LIMIT_MS,
  );
});

let instances = 0;

/** A simulator and a producer; each instance has keys of its own in the one Redis. */
async function startInstance({ thinkMs }: { thinkMs: number }) {
  instances += 1;
  const settings = { REDIS_URL: redis.url, O3Q_PREFIX: `instance-${instances}` };
  const simulator = await cli.start(['simulator', '--port', '0', '--think-ms', String(thinkMs)]);
  const upstream = await simulator.says(/^o3-queue simulator ready on (http:\S+)$/m);
  const producer = await cli.start(['producer'], { ...settings, PORT: '0' });
  const url = await producer.says(/^o3-queue producer ready on (http:\S+)$/m);
  return { settings, simulator, upstream, producer, url };
}

async function startWorker(
  settings: Record<string, string>,
  upstream: string,
  more: Record<string, string> = {},
): Promise<CliProcess> {
  const worker = await cli.start(['worker'], { ...settings, OPENAI_BASE_URL: upstream, ...more });
  await worker.says(/^o3-queue worker ready$/m);
  return worker;
}

async function endOf(args: string[], environment: Record<string, string>) {
  return (await cli.start(args, environment)).exited;
}

/** Enqueues so many jobs, and waits until the upstream runs every one. */
async function inFlight(client: O3Client, count: number): Promise<string[]> {
  const jobs = await Promise.all(
    Array.from({ length: count }, (_, index) => client.enqueue({ question: `Why ${index}?` })),
  );
  await eventually(async () => {
    const { jobs: now } = await client.list({ limit: 100 });
    expect(now.filter((job) => job.status === 'active' && job.upstream_id !== null)).toHaveLength(count);
  }, IN_FLIGHT_LIMIT_MS);
  return jobs.map(({ id }) => id);
}

const logLine = z.looseObject({ msg: z.string(), job: z.string().optional() });

/** Log lines are JSON when the output is not a terminal. */
function releasedIn(log: string): (string | undefined)[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'));
  return lines
    .map((line) => logLine.parse(JSON.parse(line)))
    .filter(({ msg }) => msg === 'released')
    .map(({ job }) => job);
}

function statusesOf(jobs: JobView[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of jobs) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

async function purchasesOf(upstream: string): Promise<number> {
  const ledger = await bodyOf(new URL('/simulator/ledger', upstream).href);
  return z.object({ totals: z.object({ purchases: z.number() }) }).parse(ledger).totals.purchases;
}

/** The values for o3, by their names. */
async function metricsOf(port: number): Promise<Record<string, number>> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain');
  const lines = (await response.text()).matchAll(/^(\w+)\{model="o3"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value]) => [name, Number(value)]));
}

async function bodyOf(url: string): Promise<unknown> {
  return (await fetch(url)).json();
}

const ROOT = join(__dirname, '../../..');
const healthSchema = z.object({
  services: z.object({ simulator: z.object({ healthcheck: z.object({ test: z.array(z.string()) }) }) }),
});

/** Runs the check that docker-compose.yml has for the simulator, on another port; resolves to its exit code. */
async function healthOfSimulator(port: string): Promise<number> {
  const file = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  const { simulator } = healthSchema.parse(parse(file, { merge: true })).services;
  const [, , flag = '', script = ''] = simulator.healthcheck.test;
  return exitCodeOf([flag, script.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`)], {});
}

/** Runs the check of the image with the variables of its container; resolves to its exit code. */
async function healthOfImage(environment: Record<string, string>): Promise<number> {
  const [, command = ''] =
    /^HEALTHCHECK .*\\\n +CMD (.+)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
  const [program, ...args] = z.array(z.string()).parse(JSON.parse(command));
  expect(program).toBe('node');
  return exitCodeOf(args, environment);
}

async function exitCodeOf(args: string[], environment: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env: environment }, (error) =>
      resolve(error === null ? 0 : Number(error.code)),
    );
  });
}
