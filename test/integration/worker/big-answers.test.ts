import { Redis } from 'ioredis';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { JobResult } from '../../../src/job/view.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { answerOf } from '../../../src/responses/response.ts';
import { call, enqueue } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const BIG = 8_000_000;
/** What is not the result itself: lists, views, events, the board. */
const LIGHT = 20_000;
/** A job's own page on the board, for a person who reads: the first 50,000 characters. */
const LIGHT_TO_READ = 200_000;
const FINISH_LIMIT_MS = 180_000;

/**
 * One, two, three and four bytes a character, what JSON escapes, half a surrogate pair, and characters made
 * of several.
 */
const WORD = `${'Größe_日本語_"so"_\\n_\\\u0001_naïve_\ud83d_👩‍👩‍👧‍👦🚀'.repeat(6)}_`;
const keys = keysOf('o3q', 'o3');

let instance: Instance;
let queue: InstanceQueue;
let redis: Redis;
let answer: string;

beforeAll(async () => {
  answer = bigAnswer();
  instance = await startInstance({ simulator: { answer: () => answer } });
  queue = new InstanceQueue({ redisUrl: instance.redis.url });
  redis = new Redis(instance.redis.url);
});
afterAll(async () => {
  redis.disconnect();
  await queue.close();
  await instance.stop();
});

/** The simulator streams a delta a word: many thousand. */
function bigAnswer(): string {
  const words: string[] = [];
  for (let bytes = 0; bytes < BIG; bytes += Buffer.byteLength(words.at(-1) ?? '') + 1) {
    words.push(`${words.length}_${WORD}`);
  }
  return words.join(' ');
}

/** Not by expect: what differs in megabytes is no message for anybody. */
function isWhole(text: unknown): boolean {
  return text === answer;
}

async function completed(stream: boolean): Promise<string> {
  const { id } = await enqueue(instance.url, { question: 'Everything?', stream });
  const job = await queue.wait(id, { timeoutMs: FINISH_LIMIT_MS });
  expect(job).toMatchObject({ status: 'completed', attempt: 1 });
  return id;
}

describe.each([true, false])('an answer of 8 MB, stream: %s', (stream) => {
  let id: string;
  beforeAll(async () => {
    id = await completed(stream);
  }, FINISH_LIMIT_MS);

  it('is fetched whole over HTTP, through the library and the client, and by `o3q result`', async () => {
    const overHttp = await call(instance.url, 'GET', `/jobs/${id}/result`);
    expect(overHttp).toMatchObject({
      status: 200,
      headers: { 'content-type': expect.stringMatching(/^application\/json/) },
    });
    const result = overHttp.body as JobResult;
    expect(isWhole(result.answer)).toBe(true);
    expect(answerOf(result.response as never) === result.answer).toBe(true);
    const { response, answer: _answer, ...about } = result;
    expect(about).toEqual({
      usage: expect.objectContaining({ output_tokens: expect.any(Number) }),
      model: 'o3',
      ...{ cost_estimated: false, list_usd: expect.any(Number), saved_usd: 0 },
      upstream_model: expect.stringContaining('o3'),
      incomplete_reason: null,
      refusal: null,
      cost_usd: expect.any(Number),
      simulated: false,
      fallback_from: null,
      fallback_extra_usd: null,
      service_tier: 'default',
    });
    // The text is there once: the SDK's `output_text`, which is not on the wire, would double it.
    expect(Object.keys(response)).not.toContain('output_text');

    const fromQueue = await queue.result(id);
    const fromClient = await new O3Client({ url: instance.url }).result(id);
    expect(fromQueue).toStrictEqual(fromClient);
    expect(
      fromQueue.status === 'completed' && JSON.stringify(fromQueue.result) === JSON.stringify(result),
    ).toBe(true);

    const printed = await o3q(['result', id], { environment: { O3Q_URL: instance.url } });
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    expect(printed.stdout.length).toBeGreaterThan(answer.length * 0.9);
    const asJson = await o3q(['result', id, '--json'], { environment: { O3Q_URL: instance.url } });
    expect(isWhole((JSON.parse(asJson.stdout) as JobResult).answer)).toBe(true);
  });

  it('burdens no view, list, event or page of the board', async () => {
    const limits = {
      '/jobs': LIGHT,
      [`/jobs/${id}`]: LIGHT,
      '/board/api/queues?activeQueue=o3&status=completed': LIGHT,
      [`/board/api/queues/o3/${id}`]: LIGHT_TO_READ,
    };
    for (const [path, limit] of Object.entries(limits)) {
      const page = await call(instance.url, 'GET', path);
      const size = Buffer.byteLength(JSON.stringify(page.body));
      expect({ path, status: page.status, isLight: size < limit, size }).toEqual({
        path,
        status: 200,
        isLight: true,
        size,
      });
    }
    for (const key of await redis.keys('o3q:*')) {
      if (key.startsWith('o3q:response:') || key.startsWith('o3q:event-log:')) continue;
      const size = (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
      expect({ key, isLight: size < LIGHT, size }).toEqual({ key, isLight: true, size });
    }
    // BullMQ's own events of the job do not grow with the deltas of its answer. Those of an idle queue come
    // with time.
    const events = await redis.xrange(keys.queue('events'), '-', '+');
    const ofJob = events.filter(([, fields]) => fields.includes(id));
    expect(ofJob.length).toBeLessThan(20);
    // Kept once, and as compactly as it came.
    expect(await redis.strlen(keys.response(id))).toBeLessThan(BIG * 1.2);
  });
});
