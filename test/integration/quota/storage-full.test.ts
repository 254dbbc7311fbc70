import { createHash, randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';
import { startInstance } from '../../support/worlds/instance.ts';
import { startWorkerWorld } from '../../support/worlds/worker-world.ts';

const MB = 1024 ** 2;

async function usedBytes(client: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

it('a Redis that is nearly full takes no new job, and running jobs complete', async () => {
  const world = await startWorkerWorld({ simulator: { thinkMs: 3000 } });
  try {
    const { client } = world;
    const { id } = await world.ask('First?');
    await world.running(id);
    // 95 % of it is used, and the rest is some megabytes, as on a real server.
    await client.setrange('ballast', 64_000_000, 'x');
    await client.config('SET', 'maxmemory', String(Math.round((await usedBytes(client)) / 0.95)));
    await eventually(() =>
      expect(world.ask('Second?')).rejects.toMatchObject({
        code: 'storage_full',
        message: expect.stringMatching(
          /^Redis has used \d+ MB of its \d+ MB of memory\. What is left is for jobs/,
        ),
        retryAfterMs: 10_000,
      }),
    );
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
    await client.config('SET', 'maxmemory', String((await usedBytes(client)) * 2));
    const second = await eventually(() => world.ask('Second?'));
    expect(await world.finished(second.id)).toMatchObject({ status: 'completed' });
  } finally {
    await world.stop();
  }
});

it('large requests that fill Redis are refused whole, and a large answer is written when there is room', async () => {
  // Random texts cannot be compressed to much less.
  const long = randomBytes(3 * MB).toString('base64');
  const questions = Array.from({ length: 4 }, () => randomBytes(3 * MB).toString('base64'));
  const answer = ({ text }: { text: string }) => (text === 'Long?' ? long : digest(text));
  const instance = await startInstance({ simulator: { answer } });
  const { url, simulator } = instance;
  const redis = new Redis(instance.redis.url);
  const post = (question: string, i: number): Promise<Answer> =>
    call(url, 'POST', '/jobs', { body: { question }, headers: { 'idempotency-key': `large ${i}` } });
  const answerOf = async (id: string): Promise<string> => {
    await reached(url, id, 'completed');
    return ((await call(url, 'GET', `/jobs/${id}/result`)).body as { answer: string }).answer;
  };
  try {
    const metadata = { sim_think_ms: '1500', sim_deltas: '1' };
    const { id } = await enqueue(url, { question: 'Long?', metadata });
    await eventually(() => expect(simulator.ledger.totals()).toMatchObject({ purchases: 1 }));

    await redis.config('SET', 'maxmemory', (await usedBytes(redis)) + 10 * MB);
    const first = await Promise.all(questions.map(post));
    const refused = first.filter(({ status }) => status !== 202);
    expect(refused.length).toBeGreaterThan(0);
    for (const each of refused) {
      expectProblem(each, 503, expect.stringMatching(/^(redis_unavailable|storage_full)$/) as never);
      expect(each.headers['retry-after']).toMatch(/^\d+$/);
    }
    const { jobs } = (await call(url, 'GET', '/jobs')).body as JobPage;
    expect(jobs.length).toBe(1 + first.length - refused.length);

    await redis.config('SET', 'maxmemory', '1');
    await eventually(() => expect(simulator.ledger.totals().completed).toBeGreaterThan(0));
    await eventually(async () => expect(await instance.workers[0]?.redisTrouble()).toContain('OOM'));
    await redis.config('SET', 'maxmemory', '0');
    // Not a comparison that would print both.
    expect((await answerOf(id)) === long).toBe(true);

    for (const [i, question] of questions.entries()) {
      const repeat = await eventually(async () => {
        const again = await post(question, i);
        expect([200, 202]).toContain(again.status);
        return again.body as JobView;
      });
      expect(await answerOf(repeat.id)).toBe(digest(question));
    }
    const all = { purchases: 1 + questions.length, completed: 1 + questions.length };
    expect(simulator.ledger.totals()).toMatchObject(all);
    expect(instance.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
  } finally {
    redis.disconnect();
    await instance.stop();
  }
});
