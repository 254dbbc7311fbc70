import { setTimeout as pause } from 'node:timers/promises';
import type { GivenReply } from '../../../simulator/faults/odd-replies.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { DIALECTS } from '../../support/openai/dialects.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/** Why a job waits, by whom the refusal of its create concerns. */
const WAITS = {
  money: /^quota exhausted/,
  credentials: /^credentials refused/,
  address: /^the right address/,
  model: /does not exist at the upstream/,
};
const FOR_EVERY_JOB = DIALECTS.filter(([, , , concern]) => concern !== 'job');
const FOR_ONE_JOB = DIALECTS.filter(([, , , concern]) => concern === 'job');

/** Whether each refusal counts as an attempt, because it may be about the job itself. */
const isCharged = (status: number): boolean => status >= 500 || status === 498;
/** Whether a proxy answers that cannot know whether the response was bought. */
const isUnknown = (status: number, body: object | string): boolean =>
  status === 502 && typeof body === 'string';

const replyOf = (status: number, body: object | string): GivenReply => {
  if (typeof body !== 'string') return { status, json: body };
  return body.startsWith('<') ? { status, html: body } : { status, text: body };
};

describe('an upstream that refuses in the words of another server', () => {
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    const { models, ...rest } = quickModels();
    const { o3 } = models;
    if (o3 === undefined) throw new Error('expected o3 among the models');
    // However long a test takes to end the weather, no job fails by its attempts.
    instance = await startInstance({ models: { ...rest, models: { o3: { ...o3, maxAttempts: 1000 } } } });
    client = new O3Client({ url: instance.url });
  });
  afterAll(() => instance.stop());
  beforeEach(() => instance.simulator.ledger.reset());
  afterEach(async () => {
    instance.simulator.setWeather({ refuse: 'none' });
    await client.resume('o3');
  });

  it.each(FOR_EVERY_JOB)(
    '%s: %d %j concerns %s, so that the job waits',
    async (who, status, body, concern) => {
      instance.simulator.setWeather({ refuse: replyOf(status, body) });
      const { id } = await client.enqueue({ question: `What does ${who} say?` });
      await eventually(async () => {
        expect(instance.simulator.ledger.totals().rejected).toBeGreaterThan(0);
        expect(await client.get(id)).toMatchObject({
          status: expect.stringMatching(/^(waiting|delayed)$/),
          ...(concern in WAITS && {
            waiting_for: expect.stringMatching(WAITS[concern as keyof typeof WAITS]),
          }),
        });
      });
      instance.simulator.setWeather({ refuse: 'none' });
      await client.resume('o3');
      const job = await client.wait(id, { timeoutMs: 30_000 });
      expect(job).toMatchObject({ status: 'completed', purchases: 1 });
      if (isUnknown(status, body)) expect(job.uncertain_purchases).toBeGreaterThan(0);
      else expect(job.uncertain_purchases).toBe(0);
      if (!isCharged(status)) expect(job.attempt).toBe(1);
    },
  );

  it.each(FOR_ONE_JOB)('%s: %d %j concerns one %s, which fails at once', async (who, status, body) => {
    instance.simulator.setWeather({ refuse: replyOf(status, body) });
    const { id } = await client.enqueue({ question: `What does ${who} say?` });
    expect(await client.wait(id)).toMatchObject({ status: 'failed', attempt: 1, uncertain_purchases: 0 });
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 1 });
    instance.simulator.setWeather({ refuse: 'none' });
    const next = await client.enqueue({ question: `And after ${who}?` });
    expect(await client.wait(next.id)).toMatchObject({ status: 'completed' });
  });

  it.each<GivenReply>([
    { status: 401, json: { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } } },
    { status: 402, json: { error: { message: 'This request requires more credits', code: 402 } } },
    { status: 403, html: '<title>Sorry, you have been blocked</title>' },
    { status: 404, text: '404 page not found' },
    { status: 429, json: { error: { message: 'slow down' } }, headers: { 'retry-after': '0' } },
    { status: 429, json: { error: { message: 'slow down' } }, headers: { 'retry-after': '3600' } },
    { status: 503, json: { error: { message: 'overloaded' } }, headers: { 'retry-after': '3600' } },
  ])('%j to one job again and again: the others pass', async (reply) => {
    const metadata = { sim: 'refuse', sim_refusal: JSON.stringify(reply) };
    const poison = await client.enqueue({ question: 'Poison?', metadata, max_attempts: 5 });
    const healthy = await Promise.all(
      Array.from({ length: 10 }, (_, i) => client.enqueue({ question: `${reply.status}, number ${i}?` })),
    );
    for (const { id } of healthy)
      expect(await client.wait(id, { timeoutMs: 60_000 })).toMatchObject({
        ...{ status: 'completed', attempt: 1, uncertain_purchases: 0 },
      });
    // By now the poison may also have spent all its attempts.
    await client.cancel(poison.id).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'job_finished' });
    });
    const { status, purchases } = await client.wait(poison.id);
    expect(['cancelled', 'failed']).toContain(status);
    expect(purchases).toBe(0);
  });

  it.each([{ 'retry-after': '-5' }, { 'retry-after': 'soon' }, { 'retry-after-ms': '0' }])(
    'a 429 with %j is a pause, and no reason to ask again at once',
    async (headers) => {
      instance.simulator.setWeather({
        refuse: { status: 429, json: { error: { message: 'slow' } }, headers },
      });
      const { id } = await client.enqueue({ question: 'Already?' });
      await eventually(async () => {
        const { state } = (await client.models()).find(({ model }) => model === 'o3') ?? {};
        expect(state?.status).toBe('rate_limited');
      });
      await pause(1500);
      // 250 ms at least, and twice as long each time.
      expect(instance.simulator.ledger.totals().rejected).toBeLessThanOrEqual(5);
      instance.simulator.setWeather({ refuse: 'none' });
      await client.resume('o3');
      expect(await client.wait(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    },
  );
});
