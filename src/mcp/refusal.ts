import { O3ClientError } from '../client/client-error.ts';
import { durationText } from '../client/quantity.ts';
import { QueueError } from '../errors/problem.ts';
import type { JobQueueError } from '../job/job-queue.ts';
import { listLine, sentence } from './sentences.ts';
import { errorResult, type McpCall, type ToolResult } from './tool.ts';

/** How many of its latest jobs a caller is shown that has named a job which does not exist. */
const LATEST_SHOWN = 5;
/** What a model is told to do about some refusals. The others say it themselves. */
const ADVICE: Readonly<Record<string, string>> = {
  budget_exhausted: 'Nothing was bought. Tell the user what this says.',
  too_many_waiting: 'Nothing was bought. Tell the user what this says.',
  too_much_stored: 'Nothing was bought. Tell the user what this says.',
  storage_full: 'Nothing was bought. Tell the user what this says.',
  instance_unreachable: 'Tell the user what this says. Jobs that were stored before are not lost.',
  answer_lost: 'Ask exactly the same again, without `again`: that finds the job if it was stored.',
  unauthorized: 'Tell the user what this says.',
  forbidden: 'Tell the user what this says.',
};

/** refusalFrom returns an error as the refusal of a call; undefined for an unexpected error. */
export function refusalFrom(error: unknown): JobQueueError | undefined {
  return error instanceof QueueError || error instanceof O3ClientError ? error : undefined;
}

/**
 * refusalResult tells a model why its call was refused, and what to do. It is a result and no JSON-RPC error,
 * because clients show a model only results.
 *
 * @throws the error itself when it is not a refusal.
 */
export async function refusalResult(error: unknown, call: McpCall): Promise<ToolResult> {
  const refusal = refusalFrom(error);
  if (refusal === undefined) throw error;
  const { code, message, retryAfterMs } = refusal;
  if (code === 'job_not_found') return errorResult(await withLatest(message, call));
  const again = retryAfterMs === undefined ? [] : [`It may work again in ${durationText(retryAfterMs)}.`];
  const advice = Object.hasOwn(ADVICE, code) ? [ADVICE[code]] : [];
  return errorResult([sentence(message), ...again, ...advice].join(' '));
}

/** withLatest adds the caller's latest jobs, which set a model right that has invented or lost an id. */
async function withLatest(message: string, { queue, now }: McpCall): Promise<string> {
  const { jobs } = await queue.list({ limit: LATEST_SHOWN });
  if (jobs.length === 0) return `${sentence(message)} You have no jobs.`;
  return [`${sentence(message)} Your latest jobs:`, ...jobs.map((job) => listLine(job, now()))].join('\n');
}
