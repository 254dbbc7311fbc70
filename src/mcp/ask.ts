import { createHash } from 'node:crypto';
import { canonicalJson } from '../job/exact-json.ts';
import { AGENT } from '../job/fields/metadata.ts';
import { isFinishedJob } from '../job/job.ts';
import type { BulkRequest } from '../job/request.ts';
import type { JobView } from '../job/view.ts';
import type { McpCall } from './tool.ts';

/** How long after its end a completed job still answers a repeated question, in milliseconds. */
const JOINED_FOR_MS = 600_000;

/** Question is what a model asks. */
export interface Question {
  question: string;
  context?: string | undefined;
  model?: string | undefined;
  needed_by?: string | undefined;
  reasoning_effort?: Extract<BulkRequest, { question: string }>['reasoning_effort'];
}

/** Asked is the job of a question. */
export interface Asked {
  job: JobView;
  /** Whether the job was enqueued by this call; false: an earlier call had asked the same. */
  isNew: boolean;
}

/**
 * ask enqueues a question. The same question of the same agent finds the job of the earlier call while it
 * is unfinished, and for ten minutes after it has completed: agents ask again after a timeout, and must not
 * buy twice. A job that failed or was cancelled is not found.
 *
 * The idempotency key of a question is its hash. When the job that this key has found no longer answers, the
 * key of its successor is made of the hash and of that job's id, and so on. So all callers that ask at the
 * same moment walk the same jobs and meet at the same new one, and no key has to be stored. The walk has a
 * step for each time that the question was bought while its first job is kept.
 *
 * @param again buys a new answer in any case.
 * @throws {JobQueueError}
 */
export async function ask(question: Question, again: boolean, call: McpCall): Promise<Asked> {
  const { queue, agent, trace } = call;
  const request = { ...question, stream: true, metadata: { [AGENT]: agent } };
  if (again) return { job: await queue.enqueue(request, { trace }), isNew: true };
  const hash = createHash('sha256').update(canonicalJson(request)).digest('hex').slice(0, 32);
  let key = `mcp:${hash}`;
  for (;;) {
    // A bulk says whether a job is new.
    const [outcome] = await queue.enqueueBulk([{ ...request, idempotency_key: key }], { trace });
    if (outcome === undefined) throw new Error('expected an outcome for the request');
    if (!outcome.ok) throw outcome.error;
    if (outcome.isNew || answers(outcome.job, call.now())) return outcome;
    key = `mcp:${hash}:${outcome.job.id}`;
  }
}

/** answers says whether a job answers its question when it is asked again. */
function answers(job: JobView, now: number): boolean {
  if (!isFinishedJob(job)) return true;
  return job.status === 'completed' && now - Date.parse(job.finished_at) < JOINED_FOR_MS;
}
