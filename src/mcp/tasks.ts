import {
  type ClientCapabilities,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type Server,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { isFinishedJob } from '../job/job.ts';
import type { JobQueueError } from '../job/job-queue.ts';
import type { JobView } from '../job/view.ts';
import { answerResult } from './answer.ts';
import { refusalFrom } from './refusal.ts';
import { factsOf, nextStep, statusSentence } from './sentences.ts';
import { errorResult, type McpCall, type ToolResult } from './tool.ts';

/**
 * A task of the extension `io.modelcontextprotocol/tasks` is a job under its own id. The messages are those
 * of https://modelcontextprotocol.io/extensions/tasks for the revision 2026-07-28. Earlier clients have none.
 */
const EXTENSION = 'io.modelcontextprotocol/tasks';
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
/** TASK_CAPABILITIES are what the server declares, and what a client must declare in a call for a task. */
export const TASK_CAPABILITIES = { extensions: { [EXTENSION]: {} } };

/**
 * A client should look again after a quarter of the expected time, or of the job's age when no time is known,
 * within these bounds, in milliseconds.
 */
const POLL_SHARE = 0.25;
const SHORTEST_POLL_MS = 2000;
const LONGEST_POLL_MS = 30_000;

/** Retention is how long a finished job can be read, in milliseconds. */
export interface TaskRetention {
  completedMs: number;
  failedMs: number;
}

/**
 * declaresTasks says whether this call declares the extension. What a client declared before counts for
 * nothing.
 */
export function declaresTasks({ mcpReq }: ServerContext): boolean {
  // The SDK's type of the envelope has no fields.
  const envelope = mcpReq.envelope as { [CAPABILITIES]?: ClientCapabilities } | undefined;
  return envelope?.[CAPABILITIES]?.extensions?.[EXTENSION] !== undefined;
}

/** taskResult answers a call of a tool with a task: the client looks for its end by itself. */
export function taskResult(job: JobView, retention: TaskRetention, now: number): ToolResult {
  return { resultType: 'task', content: [], ...taskOf(job, retention, now) };
}

/**
 * serveTasks lets clients look for the end of their tasks, and cancel them.
 *
 * @param callOf makes the call that a handler uses.
 * @param guarded hides the message of an unexpected error.
 */
export function serveTasks(
  server: Server,
  retention: TaskRetention,
  callOf: (context: ServerContext) => McpCall,
  guarded: (work: () => Promise<object>) => Promise<object>,
): void {
  const params = z.looseObject({ taskId: z.string() });
  const onTask = (method: string, answer: (id: string, call: McpCall) => Promise<object>): void => {
    server.setRequestHandler(method, { params }, async ({ taskId }, context) => {
      if (!declaresTasks(context)) {
        throw new MissingRequiredClientCapabilityError({ requiredCapabilities: TASK_CAPABILITIES });
      }
      return { ...(await guarded(() => answer(taskId, callOf(context)).catch(protocolError))) };
    });
  };
  onTask('tasks/get', async (id, call) => {
    const job = await call.queue.get(id);
    const task = taskOf(job, retention, call.now());
    const result = await taskEnd(job, call);
    return { ...task, ...(result !== undefined && { result: { resultType: 'complete', ...result } }) };
  });
  // A cancel of a task that has ended changes nothing, and is no error.
  onTask('tasks/cancel', async (id, { queue }) => {
    await queue.cancel(id).catch((error: unknown) => {
      if (refusalFrom(error)?.code !== 'job_finished') throw error;
    });
    return {};
  });
  // No task ever asks its client for input, so an answer to such a question is taken and dropped.
  onTask('tasks/update', async (id, { queue }) => {
    await queue.get(id);
    return {};
  });
}

function taskOf(job: JobView, { completedMs, failedMs }: TaskRetention, now: number): object {
  const isEnded = isFinishedJob(job);
  const changedAt = isEnded ? job.finished_at : job.status === 'active' ? job.started_at : job.created_at;
  // Counted from the creation. While a job has not ended, its end is yet to come, so the sum rises.
  const endsAt = isEnded ? Date.parse(job.finished_at) : now;
  const keptMs = job.status === 'failed' || job.status === 'cancelled' ? failedMs : completedMs;
  return {
    taskId: job.id,
    // `failed` is for errors of the protocol. A failed job is a completed task whose result says so.
    status: isEnded ? (job.status === 'cancelled' ? 'cancelled' : 'completed') : 'working',
    statusMessage: statusSentence(job),
    createdAt: job.created_at,
    lastUpdatedAt: changedAt,
    ttlMs: Math.round(Math.max(0, endsAt - Date.parse(job.created_at)) + keptMs),
    ...(!isEnded && { pollIntervalMs: pollIntervalOf(job, now) }),
  };
}

function pollIntervalOf(job: JobView, now: number): number {
  const etaMs = job.status === 'waiting' ? job.eta_ms : null;
  const spanMs = etaMs ?? now - Date.parse(job.created_at);
  return Math.round(Math.min(Math.max(spanMs * POLL_SHARE, SHORTEST_POLL_MS), LONGEST_POLL_MS));
}

/**
 * taskEnd is the result of a task that has ended, as the tool would have answered; undefined: there is none.
 */
async function taskEnd(job: JobView, { queue }: McpCall): Promise<ToolResult | undefined> {
  if (job.status === 'failed') return errorResult(`${statusSentence(job)} ${nextStep(job)}`, factsOf(job));
  if (job.status !== 'completed') return undefined;
  const outcome = await queue.result(job.id);
  if (outcome.status !== 'completed') throw notFound(`Job ${job.id} was retried meanwhile`);
  return answerResult(job.id, outcome.result, 0);
}

/** Tasks have no results that a model could mend, so a refusal is an error of the protocol. */
function protocolError(error: unknown): never {
  const refusal: JobQueueError | undefined = refusalFrom(error);
  if (refusal === undefined) throw error;
  if (refusal.code === 'job_not_found') throw notFound(refusal.message);
  throw new ProtocolError(ProtocolErrorCode.InternalError, refusal.message);
}

function notFound(message: string): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, message);
}
