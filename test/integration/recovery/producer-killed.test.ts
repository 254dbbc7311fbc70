import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { openSdk, textIn } from '../../support/openai/sdk.ts';
import { type CliProcess, createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

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
  producers = await Promise.all(
    [0, 1].map(async () => {
      const process = await cli.start(['producer'], { REDIS_URL: redis.url, PORT: '0' });
      return { process, url: await process.says(/^o3-queue producer ready on (http:\S+)$/m) };
    }),
  );
}, LIMIT_MS);
afterEach(() => cli.end());
afterAll(async () => {
  await ofAllTests.end();
  await redis.stop();
});

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
