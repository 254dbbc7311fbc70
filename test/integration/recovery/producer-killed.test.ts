import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { openSdk, textIn } from '../../support/openai/sdk.ts';
import { type CliProcess, createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';

/**
 * Real processes: two producers, of which one is killed with calls of `/v1` that it answers, and a worker.
 */

const LIMIT_MS = 180_000;
const THINK_MS = 3000;

const cli = createCliProcesses();
const ofAllTests = createCliProcesses();
let redis: TestRedis;
let upstream: string;
let producers: { process: CliProcess; url: string }[];
let boughtBefore: number;
beforeAll(async () => {
  redis = await startTestRedis();
  const simulator = await ofAllTests.start(['simulator', '--port', '0', '--think-ms', String(THINK_MS)]);
  upstream = await simulator.says(/^o3-queue simulator ready on (http:\S+)$/m);
  const worker = await ofAllTests.start(['worker'], { REDIS_URL: redis.url, OPENAI_BASE_URL: upstream });
  await worker.says(/^o3-queue worker ready$/m);
}, LIMIT_MS);
beforeEach(async () => {
  boughtBefore = 0;
  boughtBefore = await purchases();
  producers = await Promise.all([producerOn(redis.url), producerOn(redis.url)]);
}, LIMIT_MS);
afterEach(() => cli.end());
afterAll(async () => {
  await ofAllTests.end();
  await redis.stop();
});

async function producerOn(redisUrl: string): Promise<{ process: CliProcess; url: string }> {
  const process = await cli.start(['producer'], { REDIS_URL: redisUrl, PORT: '0' });
  return { process, url: await process.says(/^o3-queue producer ready on (http:\S+)$/m) };
}
const urlOf = (at: number): string => producers[at]?.url ?? '';
async function kill(at: number): Promise<void> {
  producers[at]?.process.kill('SIGKILL');
  await producers[at]?.process.exited;
}
/** Returns how many responses this test has bought. */
async function purchases(): Promise<number> {
  const ledger = (await (await fetch(new URL('/simulator/ledger', upstream))).json()) as {
    totals: { purchases: number };
  };
  return ledger.totals.purchases - boughtBefore;
}
const bought = (count: number): Promise<void> =>
  eventually(async () => expect(await purchases()).toBe(count), LIMIT_MS);

/** Asks as a program without an SDK does. @returns the id and the text of the answer. */
async function ask(url: string, input: string): Promise<{ id: string; text: string }> {
  const answer = await fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'o3', input }),
  });
  const text = await answer.text();
  return { id: /"id":\s*"(resp_[0-9a-f]+)"/.exec(text)?.[1] ?? '', text };
}

describe('a producer that is killed while it answers calls of /v1', () => {
  it(
    'leaves each job to the next call with the same request, and one that is alive leaves none',
    async () => {
      const broken = ask(urlOf(0), 'Killed?').catch(() => 'broken');
      const alive = ask(urlOf(1), 'Alive?');
      await bought(2);
      await kill(0);
      expect(await broken).toBe('broken');
      const second = ask(urlOf(1), 'Alive?');
      const [again, more] = await Promise.all([ask(urlOf(1), 'Killed?'), ask(urlOf(1), 'Killed?')]);
      expect(again.text).toContain('"status":"completed"');
      expect(again.id).not.toBe(more.id);
      expect((await alive).id).not.toBe((await second).id);
      // The killed call and one of its two successors share a job; the three others have one each.
      expect(await purchases()).toBe(4);
    },
    LIMIT_MS,
  );

  it(
    'leaves it to a retry of the SDK that another producer answers',
    async () => {
      let at = 0;
      const tries: (string | null)[] = [];
      const { client } = openSdk('http://balancer', {
        fetch: (input, init) => {
          tries.push(new Headers(init?.headers).get('x-stainless-retry-count'));
          return fetch(String(input).replace('http://balancer', urlOf(at)), init);
        },
      });
      const asked = client.responses.create({ model: 'o3', input: 'By the SDK?' });
      await bought(1);
      at = 1;
      await kill(0);
      expect((await asked).output_text).toContain('By the SDK?');
      expect(tries).toEqual(['0', '1']);
      expect(await purchases()).toBe(1);
    },
    LIMIT_MS,
  );

  it(
    'leaves an answer that came after the producer was killed to the next call',
    async () => {
      const broken = ask(urlOf(0), 'Answered too late?').catch(() => 'broken');
      await bought(1);
      await kill(0);
      await broken;
      const answered = await eventually(async () => {
        const { jobs } = await new O3Client({ url: urlOf(1) }).list({ q: 'Answered too late?' });
        expect(jobs).toMatchObject([{ status: 'completed' }]);
        return jobs[0]?.id.slice('job_'.length);
      }, LIMIT_MS);
      const { id, text } = await ask(urlOf(1), 'Answered too late?');
      expect(id).toBe(`resp_${answered}`);
      expect(text).toContain('Answered too late?');
      expect(await purchases()).toBe(1);
    },
    LIMIT_MS,
  );
});

it(
  'a stream whose attempt fails after its first word ends with attempt_failed, and goes on whole elsewhere',
  async () => {
    const body = {
      model: 'o3',
      input: 'Two attempts?',
      metadata: { sim: 'failed', sim_times: '1', sim_think_ms: '1000' },
      stream: true as const,
    };
    const read = async (url: string) => {
      const { client } = openSdk(url);
      const events = [];
      for await (const event of await client.responses.create(body)) events.push(event);
      return events;
    };
    await expect(read(urlOf(0))).rejects.toMatchObject({ code: 'attempt_failed' });
    const events = await read(urlOf(1));
    const last = events.at(-1);
    if (last?.type !== 'response.completed') throw new Error(`expected an end, got ${last?.type}`);
    const { output_text } = await openSdk(urlOf(1)).client.responses.retrieve(last.response.id);
    expect(textIn(events)).toBe(output_text);
    expect(await purchases()).toBe(2);
  },
  LIMIT_MS,
);

describe('a producer that is killed while it accepts a body of 20 MB', () => {
  const MB = 1024 ** 2;
  const question = randomBytes(15 * MB).toString('base64');
  // A worker takes the job in an hour.
  const body = JSON.stringify({ question, delay_ms: 3_600_000 });
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'twenty megabytes' };
  const post = (url: string) => fetch(`${url}/jobs`, { method: 'POST', headers, body });

  it(
    'leaves no part of a job, and the repeats of its caller are one job',
    async () => {
      const client = new O3Client({ url: urlOf(1) });
      const newest = async () => (await client.list({ limit: 1 })).jobs[0]?.id;
      const before = await newest();
      let sent = 0;
      let isHalfSent: () => void = () => {};
      const halfSent = new Promise<void>((resolve) => {
        isHalfSent = resolve;
      });
      const proxy = await openTcpProxy(redis.url, {
        onSent(piece) {
          sent += piece.length;
          if (sent < 5 * MB) return;
          proxy.blackHole();
          isHalfSent();
        },
      });
      const { process, url } = await producerOn(proxy.url);
      // The head of a request, and the half of its body.
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      socket.on('error', () => {});
      await once(socket, 'connect');
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(
        `POST /jobs HTTP/1.1\r\nhost: ${hostname}\r\ncontent-length: ${body.length}\r\n${lines.join('')}\r\n`,
      );
      socket.write(body.slice(0, 10 * MB));
      // Of the same body, which comes whole, Redis gets a part.
      const whole = post(url).then(
        ({ status }) => status,
        () => 'broken',
      );
      await halfSent;
      process.kill('SIGKILL');
      await process.exited;
      expect(await whole).toBe('broken');
      proxy.heal();
      socket.destroy();
      await proxy.close();

      expect(await newest()).toBe(before);
      const answers = await Promise.all([post(urlOf(0)), post(urlOf(1))]);
      const jobs = (await Promise.all(answers.map((answer) => answer.json()))) as { id: string }[];
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 202]);
      expect(new Set(jobs.map(({ id }) => id)).size).toBe(1);
      const id = jobs[0]?.id ?? '';
      const response = await fetch(`${urlOf(1)}/v1/responses/${id.replace('job_', 'resp_')}/input_items`, {
        headers: { 'accept-encoding': 'identity' },
      });
      const { data } = (await response.json()) as { data: { content: { text: string }[] }[] };
      // Not a comparison that would print both.
      expect(data[0]?.content[0]?.text === question).toBe(true);
      await client.cancel(id);
    },
    LIMIT_MS,
  );
});
