import { ConfigError, readClientConfig } from '../config/environment.ts';
import {
  isFinishedJob,
  type JobResult,
  type JobView,
  type PlanStatus,
  preview,
  STATUS_TABLE,
} from '../job/job.ts';
import { O3ClientError } from './client-error.ts';
import { O3Client } from './o3-client.ts';
import { iconOf, oneLine } from './terminal-text.ts';

/** How many jobs `listO3Tasks` and `showO3Progress` go back: the newest. All of them: `O3Client.jobs`. */
const LISTED_JOBS = 100;
/** An active job is cancelled within a second; a worker that dies meanwhile is noticed later than this. */
const CANCEL_MS = 5000;

export interface Ok<Data, Status extends string = never> {
  ok: true;
  data: Data;
  /** Where the function has one to tell. */
  status?: Status;
}

export interface Err {
  ok: false;
  /** What happened, and where it can be known, what to do. */
  error: string;
}

export interface TaskStatus {
  id: string;
  status: PlanStatus;
  /** The first 100 characters, then `...` when there is more. */
  question: string;
  /** Seconds from its first start until its end, or until now; 0 before the start. */
  duration: number;
}

export interface TaskSummary {
  id: string;
  status: PlanStatus;
  /** The first 50 characters, then `...` when there is more. */
  question: string;
}

/** The answer of a completed task; null while there is none yet. */
export type ResultOk =
  | (Ok<JobResult, 'completed'> & { status: 'completed' })
  | (Ok<null, 'pending' | 'running'> & { status: 'pending' | 'running' });

/** Enqueues a question and answers with the task's id at once. */
export async function askO3Async(question: string, context?: string): Promise<Ok<string, 'started'> | Err> {
  return withClient(async (client) => {
    const { id } = await client.enqueue({ question, ...(context !== undefined && { context }) });
    return { ok: true, data: id, status: 'started' };
  });
}

export async function checkO3Status(id: string): Promise<Ok<TaskStatus> | Err> {
  return withTask(id, async (client) => {
    const job = await client.get(id);
    const duration = 'duration_ms' in job ? job.duration_ms / 1000 : 0;
    return { ok: true, data: { id: job.id, status: planStatusOf(job), question: job.question, duration } };
  });
}

/** The answer; `data` is null while the task is pending or running; failed and cancelled tasks are an `err`. */
export async function getO3Result(id: string): Promise<ResultOk | Err> {
  return withTask(id, async (client) => {
    const outcome = await client.result(id);
    return outcome.status === 'completed' ? completed(outcome.result) : uncompleted(outcome.job);
  });
}

/** The newest 100 tasks, newest first. */
export async function listO3Tasks(): Promise<Ok<TaskSummary[]> | Err> {
  return withClient(async (client) => {
    const data: TaskSummary[] = [];
    for await (const job of newestJobs(client)) {
      data.push({ id: job.id, status: planStatusOf(job), question: preview(job.question, 50) });
    }
    return { ok: true, data };
  });
}

/**
 * Asks and waits for the answer.
 * @param options.timeout in seconds. Default 300. When it is over the answer is an `err`, and the
 *   task goes on: `listO3Tasks` shows it.
 */
export async function askO3(
  question: string,
  context?: string,
  { timeout = 300 }: { timeout?: number } = {},
): Promise<ResultOk | Err> {
  if (!(timeout >= 0)) return err(`Expected a timeout in seconds, 0 or more, got ${timeout}`);
  const started = await askO3Async(question, context);
  if (!started.ok) return started;
  return withTask(started.data, async (client) => {
    const outcome = await client.result(started.data, { timeoutMs: timeout * 1000 });
    if (outcome.status === 'completed') return completed(outcome.result);
    const answer = uncompleted(outcome.job);
    return answer.ok ? err(`Timeout after ${timeout}s`) : answer;
  });
}

/** Prints a line a task to stdout, the newest 100 first, and answers with the lines. */
export async function showO3Progress(): Promise<Ok<string[]> | Err> {
  return withClient(async (client) => {
    const data: string[] = [];
    for await (const job of newestJobs(client)) data.push(progressLine(job));
    const text = data.length === 0 ? 'No tasks' : data.join('\n');
    process.stdout.write(`${text}\n`);
    return { ok: true, data };
  });
}

/** Cancels a task in any state; one that is cancelled already is cancelled, one that is finished is an `err`. */
export async function cancelO3(id: string): Promise<Ok<string, 'cancelled'> | Err> {
  return withTask(id, async (client) => {
    let job = await client.cancel(id);
    if (job.status !== 'cancelled') job = await client.wait(id, { timeoutMs: CANCEL_MS });
    if (isFinishedJob(job) && job.status !== 'cancelled') {
      return err(`Task ${id} was not cancelled: it is ${planStatusOf(job)}`);
    }
    // Where nobody has confirmed it yet, it is on record all the same, and nothing that happens later undoes it.
    return { ok: true, data: id, status: 'cancelled' };
  });
}

/** `⏳ [id] pending - question`, on one line whatever the question holds. */
export function progressLine(job: JobView): string {
  const question = oneLine(preview(job.question, 50));
  return `${iconOf(job.status)} [${oneLine(job.id)}] ${planStatusOf(job)} - ${question}`;
}

function planStatusOf(job: JobView): PlanStatus {
  return STATUS_TABLE[job.status].plan;
}

function completed(result: JobResult): ResultOk {
  return { ok: true, data: result, status: 'completed' };
}

function uncompleted(job: Exclude<JobView, { status: 'completed' }>): ResultOk | Err {
  switch (job.status) {
    case 'waiting':
    case 'delayed':
      return { ok: true, data: null, status: 'pending' };
    case 'active':
      return { ok: true, data: null, status: 'running' };
    case 'failed':
      return err(job.error.message);
    case 'cancelled':
      return err(`Task ${job.id} was cancelled`);
    default:
      return job satisfies never;
  }
}

async function* newestJobs(client: O3Client): AsyncGenerator<JobView, void, undefined> {
  let listed = 0;
  for await (const job of client.jobs({ limit: LISTED_JOBS })) {
    yield job;
    listed += 1;
    if (listed === LISTED_JOBS) return;
  }
}

/** The instance is looked for at each call, so that a REPL can be pointed at another one. */
async function withClient<Answer>(ask: (client: O3Client) => Promise<Answer>): Promise<Answer | Err> {
  try {
    return await ask(new O3Client(readClientConfig()));
  } catch (error: unknown) {
    if (error instanceof O3ClientError || error instanceof ConfigError) return err(error.message);
    throw error;
  }
}

async function withTask<Answer>(
  id: string,
  ask: (client: O3Client) => Promise<Answer>,
): Promise<Answer | Err> {
  return withClient(async (client) => {
    try {
      return await ask(client);
    } catch (error: unknown) {
      if (error instanceof O3ClientError && error.code === 'job_not_found')
        return err(`Task ${id} not found`);
      throw error;
    }
  });
}

function err(error: string): Err {
  return { ok: false, error };
}
