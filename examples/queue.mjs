// An app that shares the Redis needs no producer: the same methods, straight on the queue. Needs REDIS_URL, that of the workers: the embedded Redis of
// `npm start` has a port of its own each time, which its log names.
import { O3Queue } from 'o3-queue';

const queue = new O3Queue({ redisUrl: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' });

const outcomes = await queue.enqueueBulk([
  { question: 'Why is the sky blue?' },
  { question: 'Why is the sky dark at night?', priority: 1 },
  { question: '' },
]);
for (const outcome of outcomes) {
  if (!outcome.ok) {
    console.log(`refused: ${outcome.error.message}`);
    continue;
  }
  const job = await queue.wait(outcome.job.id, { timeoutMs: 60_000 });
  const reading = await queue.result(job.id);
  console.log(reading.status === 'completed' ? reading.result.answer : `${job.id} is ${job.status}`);
}
await queue.close();
