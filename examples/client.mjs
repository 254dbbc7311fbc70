// Any Node app over HTTP: enqueue, wait, read. Needs an instance (`npm start`).
import { O3Client } from 'o3-queue/client';

const client = new O3Client({ url: process.env.O3Q_URL ?? 'http://127.0.0.1:3000' });

const { id } = await client.enqueue({
  question: 'Which of these two designs would you choose, and why?',
  context: 'Design A keeps a queue for each model. Design B keeps one queue for all of them.',
  reasoning_effort: 'high',
});
console.log(`asked: ${id}`);

const outcome = await client.result(id, { timeoutMs: 3_600_000 });
if (outcome.status !== 'completed') throw new Error(`the job is ${outcome.status}`);
console.log(outcome.result.answer, outcome.result.usage);
