// Any Node app, over HTTP: enqueue, wait, read. Needs an instance (`npm start`).
import { O3Client } from 'o3-queue';

const client = new O3Client({ url: process.env.O3Q_URL ?? 'http://127.0.0.1:3000' });

const { id } = await client.enqueue({
  question: 'Which of these two designs would you choose, and why?',
  context: 'Design A keeps a queue for each model. Design B keeps one queue for all of them.',
  reasoning_effort: 'high',
});
console.log(`asked: ${id}`);

const job = await client.wait(id);
if (job.status !== 'completed') throw new Error(`the job is ${job.status}`);
const reading = await client.result(id);
if (reading.status === 'completed') console.log(reading.result.answer, reading.result.usage);
