// An app that shares the Redis of the workers needs no producer: O3Queue has the methods of O3Client,
// straight on Redis. Needs REDIS_URL. The embedded Redis of `npm start` has another port each time: its log
// names it. Its password is in .data/redis/password: REDIS_URL=redis://:PASSWORD@127.0.0.1:PORT.
import { O3Queue } from 'o3-queue';

const queue = new O3Queue({ redisUrl: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' });

// The same key and request always give the same job: running this program again buys nothing again.
const job = await queue.enqueue({ question: 'Why is the sky blue?' }, { idempotencyKey: 'sky-1' });
const finished = await queue.wait(job.id, { timeoutMs: 60_000 });
console.log(`${finished.id} is ${finished.status}`);

const outcomes = await queue.enqueueBulk([
  { question: 'Why is the sky dark at night?', priority: 1 },
  { question: '' },
]);
for (const outcome of outcomes) {
  if (!outcome.ok) {
    console.log(`refused: ${outcome.error.message}`);
    continue;
  }
  const { status, result } = await queue.result(outcome.job.id, { timeoutMs: 60_000 });
  console.log(result?.answer ?? `${outcome.job.id} is ${status}`);
}
await queue.close();
