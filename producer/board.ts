import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Router } from 'express';
import type { JobStatus } from '../src/job.ts';
import { publicId } from '../src/queue/job-view.ts';
import type { ModelQueue } from '../src/queue/model-queue.ts';

/** The page asks for every shown job again every few seconds: a book in a question would be sent each time. */
const LONGEST_TEXT = 2000;

/** A job as the board hands it to its formatters. */
interface BoardJob {
  id?: string;
  name?: string;
  delay?: number;
  processedOn?: number;
  finishedOn?: number;
  failedReason?: string;
  returnvalue?: unknown;
}

/** Bull Board over every model's queue, for the browser at `basePath`. */
export function createBoard(queues: readonly ModelQueue[], basePath: string): Router {
  const server = new ExpressAdapter();
  server.setBasePath(basePath);
  createBullBoard({
    queues: queues.map(adapterOf),
    serverAdapter: server,
    options: { uiConfig: { boardTitle: 'o3-queue', hideDocsLink: true, showWorkers: false } },
  });
  return server.getRouter() as Router;
}

function adapterOf({ model, bullmq }: ModelQueue): BullMQAdapter {
  const adapter = new BullMQAdapter(bullmq, {
    displayName: model,
    externalJobUrl: (job) => ({
      href: `/jobs/${publicId(model, String(job.id))}`,
      displayText: 'GET /jobs/:id',
    }),
  });
  adapter.setFormatter('name', (job: BoardJob) => `${statusOf(job)} · ${job.name ?? ''}`);
  adapter.setFormatter('data', shortened);
  return adapter;
}

/** BullMQ has no state for cancelled jobs and the board none for anything but BullMQ's: so the name says it. */
function statusOf(job: BoardJob): JobStatus {
  if (job.finishedOn) {
    if (job.returnvalue !== null && job.returnvalue !== undefined) return 'completed';
    return job.failedReason?.startsWith('cancelled:') ? 'cancelled' : 'failed';
  }
  if (job.delay) return 'delayed';
  return job.processedOn ? 'active' : 'waiting';
}

/** The same data with its long texts cut. */
function shortened(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.length > LONGEST_TEXT
      ? `${value.slice(0, LONGEST_TEXT)}… (${value.length} characters)`
      : value;
  }
  if (Array.isArray(value)) return value.slice(0, 100).map(shortened);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, shortened(part)]));
  }
  return value;
}
