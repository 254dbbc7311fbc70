import { copyFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { O3Client } from '../../src/client/o3-client.ts';
import type { JobRequest } from '../../src/job/request.ts';
import { eventually } from '../support/eventually.ts';
import { describeInChromium } from '../support/process/chromium.ts';
import { startTestRedis, type TestRedis } from '../support/redis/redis-server.ts';
import { type Instance, quickModels, startInstance } from '../support/worlds/instance.ts';

/**
 * Set to anything, it puts the picture into docs; its jobs then take their time, as real ones do. Take it on
 * a machine with the typefaces Inter and JetBrains Mono (fonts-inter, fonts-jetbrains-mono).
 */
const forReadme = process.env['UPDATE_SCREENSHOT'] !== undefined;
const PICTURE = 'docs/board.png';
/**
 * How long the model thinks, in milliseconds, about what is to be completed and about what is to be seen
 * running.
 */
const THINK_MS = forReadme ? { completed: 41_000, active: 150_000 } : { completed: 200, active: 60_000 };
/** How much of an answer is there when the picture is taken. */
const CHARACTERS = forReadme ? 100 : 0;
const LIMIT_MS = forReadme ? 240_000 : 180_000;

const INDEX_ANSWER = `The planner is right: your filter keeps 61 % of the rows, so that reading the table once is cheaper than 7 million random reads through the index.

Make the index cover what you ask for, and the heap is no longer needed:

  CREATE INDEX CONCURRENTLY ON orders (status, created_at) INCLUDE (total);

Then VACUUM, so that the visibility map allows an index-only scan.`;

const OTHER_MODEL: JobRequest = { model: 'gpt-5.6-sol', question: 'Is 2^61 - 1 a prime?' };
const COMPLETED: JobRequest = {
  question: 'Can two Raft leaders commit in the same term?',
  reasoning_effort: 'high',
};
const ANSWERED: JobRequest = {
  question: 'Why does Postgres ignore my index on orders(status, created_at)?',
  reasoning_effort: 'high',
};
const CANCELLED: JobRequest = {
  question: 'List all 275,305,224 magic squares of order 5',
  metadata: { sim: 'stuck_queued' },
};
/** o3 has one temperature, and it is not this. */
const FAILED: JobRequest = { request: { input: 'Write a haiku about lock-free queues', temperature: 0.2 } };
const DELAYED: JobRequest = {
  question: "Summarise last night's incident for the 9:00 stand-up",
  delay_ms: 5 * 3_600_000,
};
const ACTIVE: JobRequest = {
  question: 'Schedule 42 talks in 3 rooms so that no speaker is double-booked',
  reasoning_effort: 'high',
};
const ACTIVE_OTHER: JobRequest = {
  model: 'gpt-5.6-sol',
  question: "Find the smallest counterexample to Polya's conjecture",
};

describeInChromium('the picture of the board', (windows) => {
  let redis: TestRedis;
  const instances: Instance[] = [];

  beforeAll(async () => {
    redis = await startTestRedis();
  });
  afterAll(async () => {
    for (const instance of instances) await instance.stop();
    await redis.stop();
  });

  async function start(thinkMs: number): Promise<O3Client> {
    const instance = await startInstance({
      redis,
      models: twoModels(),
      simulator: { thinkMs, answer: () => INDEX_ANSWER },
    });
    instances.push(instance);
    return new O3Client({ url: instance.url });
  }

  it(
    'shows jobs of two models in five states',
    async () => {
      const first = await start(THINK_MS.completed);
      await first.enqueue(DELAYED);
      const others = [
        await first.enqueue(OTHER_MODEL),
        await first.enqueue(COMPLETED),
        await first.enqueue(FAILED),
      ];
      const { id: cancelled } = await first.enqueue(CANCELLED);
      const answered = await first.enqueue(ANSWERED);
      await eventually(async () =>
        expect(await first.get(cancelled)).toMatchObject({ upstream_id: expect.any(String) }),
      );
      await first.cancel(cancelled);
      for (const { id } of [...others, answered]) await first.wait(id, { timeoutMs: LIMIT_MS });

      for (const worker of [...(instances[0]?.workers ?? [])]) await instances[0]?.stopWorker(worker);
      const second = await start(THINK_MS.active);
      await second.enqueue(ACTIVE_OTHER);
      const { id: active } = await second.enqueue(ACTIVE);
      await eventually(async () => {
        const job = await second.get(active);
        expect(job).toMatchObject({ status: 'active', upstream_id: expect.any(String) });
        if (job?.status === 'active')
          expect(job.progress.output_characters).toBeGreaterThanOrEqual(CHARACTERS);
      }, LIMIT_MS);

      const page = await windows.open();
      await page.goto(`${second.url}/board/queue/o3`);
      for (const status of ['active', 'completed', 'cancelled', 'failed', 'delayed']) {
        await page
          .getByRole('heading', { name: `${status} · ` })
          .first()
          .waitFor();
      }
      await page.getByText('Then VACUUM').first().waitFor();

      const picture = join(tmpdir(), 'o3q-board.png');
      await page.screenshot({ path: picture });
      expect((await stat(picture)).size).toBeGreaterThan(10_000);
      if (forReadme) await copyFile(picture, PICTURE);
      process.stderr.write(`The picture is ${forReadme ? PICTURE : picture}\n`);
    },
    LIMIT_MS,
  );
});

function twoModels() {
  const { models, ...rest } = quickModels();
  const o3 = models['o3'];
  if (o3 === undefined) throw new Error('a model o3 was expected');
  return { ...rest, models: { o3, 'gpt-5.6-sol': { ...o3, upstream: 'gpt-5.6-sol' } } };
}
