import { readClientConfig } from '../config/client.ts';
import { shown } from '../errors/input.ts';
import { preview } from '../errors/preview.ts';
import { ConfigError } from '../errors/setup-error.ts';
import { isFinishedJob, type PlanStatus, STATUS_TABLE } from '../job/job.ts';
import type { JobResult, JobView } from '../job/view.ts';
import { O3ClientError } from './client-error.ts';
import { O3Client } from './o3-client.ts';
import { iconOf, oneLine } from './terminal-text.ts';

/** How many of the newest jobs `listO3Tasks` and `showO3Progress` list. `O3Client.jobs` lists all. */
const LISTED_JOBS = 100;
/**
 * How long `cancelO3` waits for the confirmation: an active job is cancelled within a second, unless its
 * worker has died.
 */
const CANCEL_MS = 5000;

export interface Ok<Data, Status extends string = never> {
  ok: true;
  data: Data;
  /** The status of the task, where the function reports one. */
  status?: Status;
}

export interface Err {
  ok: false;
  /** What happened and, where it is known, what to do. */
  error: string;
  /** The id of the task, only after the timeout of `askO3`: the task continues. */
  id?: string;
}

export interface TaskStatus {
  id: string;
  status: PlanStatus;
  /** The first 100 characters, then `...` when there is more. */
  question: string;
  /** Seconds from the task's first start until its end, or until now; 0 before the start. */
  duration: number;
}

export interface TaskSummary {
  id: string;
  status: PlanStatus;
  /** The first 50 characters, then `...` when there is more. */
  question: string;
}

/** ResultOk has the result of a completed task, or null while the task is pending or running. */
export type ResultOk =
  | (Ok<JobResult, 'completed'> & { status: 'completed' })
  | (Ok<null, 'pending' | 'running'> & { status: 'pending' | 'running' });

/** askO3Async enqueues a question and answers with the task's id at once. */
export async function askO3Async(
  question: string,
  context?: string,
  ...extra: never[]
): Promise<Ok<string, 'started'> | Err> {
  const wrong =
    notText('question', question) ??
    (context === undefined ? undefined : notText('context', context)) ??
    tooMany('askO3Async(question, context)', extra);
  if (wrong !== undefined) return err(wrong);
  return withClient(async (client) => {
    const { id } = await client.enqueue({ question, ...(context !== undefined && { context }) });
    return { ok: true, data: id, status: 'started' };
  });
}

/** checkO3Status answers with a task's status, its question and how long it has run. */
export async function checkO3Status(id: string, ...extra: never[]): Promise<Ok<TaskStatus> | Err> {
  const wrong = notText('id', id) ?? tooMany('checkO3Status(id)', extra);
  if (wrong !== undefined) return err(wrong);
  return withTask(id, async (client) => {
    const job = await client.get(id);
    const duration = 'duration_ms' in job ? job.duration_ms / 1000 : 0;
    return { ok: true, data: { id: job.id, status: planStatusOf(job), question: job.question, duration } };
  });
}

/**
 * getO3Result answers with a task's result. `data` is null while the task is pending or running; for a failed
 * or cancelled task the answer is an `err`.
 */
export async function getO3Result(id: string, ...extra: never[]): Promise<ResultOk | Err> {
  const wrong = notText('id', id) ?? tooMany('getO3Result(id)', extra);
  if (wrong !== undefined) return err(wrong);
  return withTask(id, async (client) => {
    const outcome = await client.result(id);
    return outcome.status === 'completed' ? completed(outcome.result) : uncompleted(outcome.job);
  });
}

/** listO3Tasks lists the newest 100 tasks, newest first. */
export async function listO3Tasks(...extra: never[]): Promise<Ok<TaskSummary[]> | Err> {
  const wrong = tooMany('listO3Tasks()', extra);
  if (wrong !== undefined) return err(wrong);
  return withClient(async (client) => {
    const data: TaskSummary[] = [];
    for await (const job of newestJobs(client)) {
      data.push({ id: job.id, status: planStatusOf(job), question: preview(job.question, 50) });
    }
    return { ok: true, data };
  });
}

/**
 * askO3 enqueues a question and waits for its result.
 * @param options.timeout in seconds. Default 300. After this time the answer is an `err` with the task's
 * `id`, and the task continues: pass the id to `getO3Result` later.
 */
export async function askO3(
  question: string,
  context?: string,
  options: { timeout?: number } = {},
  ...extra: never[]
): Promise<ResultOk | Err> {
  const wrong = flawOfOptions(options) ?? tooMany('askO3(question, context, { timeout })', extra);
  if (wrong !== undefined) return err(wrong);
  const { timeout = 300 } = options;
  const started = await askO3Async(question, context);
  if (!started.ok) return started;
  return withTask(started.data, async (client) => {
    const outcome = await client.result(started.data, { timeoutMs: timeout * 1000 });
    if (outcome.status === 'completed') return completed(outcome.result);
    const answer = uncompleted(outcome.job);
    return answer.ok ? { ...err(`Timeout after ${timeout}s`), id: started.data } : answer;
  });
}

/**
 * showO3Progress prints a line for each of the newest 100 tasks to stdout, newest first, and answers with the
 * lines.
 */
export async function showO3Progress(...extra: never[]): Promise<Ok<string[]> | Err> {
  const wrong = tooMany('showO3Progress()', extra);
  if (wrong !== undefined) return err(wrong);
  return withClient(async (client) => {
    const data: string[] = [];
    for await (const job of newestJobs(client)) data.push(progressLine(job));
    const text = data.length === 0 ? 'No tasks' : data.join('\n');
    process.stdout.write(`${text}\n`);
    return { ok: true, data };
  });
}

/**
 * cancelO3 cancels a task. For a task that is already cancelled it gives the same answer. For a completed or
 * failed task the answer is an `err`.
 */
export async function cancelO3(id: string, ...extra: never[]): Promise<Ok<string, 'cancelled'> | Err> {
  const wrong = notText('id', id) ?? tooMany('cancelO3(id)', extra);
  if (wrong !== undefined) return err(wrong);
  return withTask(id, async (client) => {
    let job = await client.cancel(id);
    if (job.status !== 'cancelled') job = await client.wait(id, { timeoutMs: CANCEL_MS });
    if (isFinishedJob(job) && job.status !== 'cancelled') {
      return err(`Task ${id} was not cancelled: it is ${planStatusOf(job)}`);
    }
    // A cancel that no worker has confirmed yet is stored, and no later event undoes it.
    return { ok: true, data: id, status: 'cancelled' };
  });
}

/** progressLine writes a task as one line: `⏳ [id] pending - question`. */
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

/** withClient reads the environment at each call, so that a REPL can switch to another instance. */
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

/**
 * tooMany returns an error for surplus arguments. JavaScript callers have no compiler: they would notice an
 * ignored option only after the task was bought.
 */
function tooMany(usage: string, extra: readonly unknown[]): string | undefined {
  if (extra.length === 0) return undefined;
  return `Expected ${usage}, got ${extra.length} more ${extra.length === 1 ? 'argument' : 'arguments'}`;
}

function notText(argument: string, value: unknown): string | undefined {
  return typeof value === 'string' ? undefined : `Expected ${argument} to be a string, got ${shown(value)}`;
}

function flawOfOptions(options: unknown): string | undefined {
  if (typeof options !== 'object' || options === null) {
    return `Expected the options of askO3 to be an object like { timeout: 300 }, got ${shown(options)}`;
  }
  const unknown = Object.keys(options).find((option) => option !== 'timeout');
  if (unknown !== undefined) return `Expected only timeout as an option of askO3, got ${shown(unknown)}`;
  const { timeout = 300 }: { timeout?: unknown } = options;
  if (typeof timeout === 'number' && timeout >= 0) return undefined;
  return `Expected a timeout in seconds, 0 or more, got ${shown(timeout)}`;
}
