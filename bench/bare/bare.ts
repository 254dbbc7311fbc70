/**
 * The bare program is the least that Express, BullMQ and the official SDK can be: it accepts a job over HTTP,
 * makes the same call to the upstream as o3-queue, and stores the answer. The benchmarks run it beside
 * o3-queue, to say what the promises of o3-queue cost.
 *
 * It promises little. A worker that dies buys its responses again. It has no quota, no cancel, no idempotency
 * keys, no tenants, no usage, no event log, and it checks no input.
 *
 * Usage: `node bare.js producer REDIS_URL` and `node bare.js worker REDIS_URL UPSTREAM_URL CONCURRENCY`.
 */
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, QueueEvents, Worker } from 'bullmq';
import express from 'express';
import { Redis } from 'ioredis';
import OpenAI from 'openai';

/** Question is the body of `POST /jobs`, as far as the benchmarks use it. o3-queue takes the same body. */
interface Question {
  question: string;
  /** Default true. */
  stream?: boolean;
  metadata?: Record<string, string>;
}

const QUEUE = 'bare';
const MODEL = 'o3';
/** o3-queue looks a long-running response up as often. */
const POLL_MS = 5000;

const [role, redisUrl = '', upstreamUrl = '', concurrency = '1'] = process.argv.slice(2);
const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });

if (role === 'producer') startProducer();
else await startWorker();

function startProducer(): void {
  const queue = new Queue<Question>(QUEUE, { connection });
  const events = new QueueEvents(QUEUE, { connection: connection.duplicate() });
  const app = express();
  app.use(express.json({ limit: '1mb' }));

  app.post('/jobs', async (request, response) => {
    const job = await queue.add('question', request.body);
    const waitSeconds = Number(request.query['wait'] ?? 0);
    if (waitSeconds === 0) {
      response.status(202).json({ id: job.id });
      return;
    }
    const answer = await job.waitUntilFinished(events, waitSeconds * 1000);
    response.json({ id: job.id, answer });
  });

  app.post('/jobs/bulk', async (request, response) => {
    const questions: Question[] = request.body.jobs;
    const jobs = await queue.addBulk(questions.map((data) => ({ name: 'question', data })));
    response.status(207).json({ jobs: jobs.map(({ id }) => ({ id })) });
  });

  const server = app.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo;
    console.log(`bare producer ready on http://127.0.0.1:${port}`);
  });
}

async function startWorker(): Promise<void> {
  const upstream = new OpenAI({ baseURL: upstreamUrl, apiKey: 'none' });
  const worker = new Worker<Question>(QUEUE, ({ data }) => answer(upstream, data), {
    connection,
    concurrency: Number(concurrency),
  });
  worker.on('error', console.error);
  await worker.waitUntilReady();
  console.log('bare worker ready');
}

/** Creates a response in the background and follows it to its end, by its stream or by polling. */
async function answer(upstream: OpenAI, { question, stream = true, metadata = {} }: Question) {
  const request = { model: MODEL, input: question, metadata, background: true };
  if (stream) {
    for await (const event of await upstream.responses.create({ ...request, stream: true })) {
      if (event.type === 'response.completed') return event.response;
    }
    throw new Error('The stream ended before the answer');
  }
  let response = await upstream.responses.create(request);
  while (response.status === 'queued' || response.status === 'in_progress') {
    await sleep(POLL_MS);
    response = await upstream.responses.retrieve(response.id);
  }
  return response;
}
