import { z } from 'zod';
import { durationText } from '../client/quantity.ts';
import { timeOptions } from '../job/fields/times.ts';
import { isFinishedJob } from '../job/job.ts';
import { REASONING_EFFORTS } from '../job/request.ts';
import type { JobView } from '../job/view.ts';
import { answerResult } from './answer.ts';
import { type Asked, ask, type Question } from './ask.ts';
import { refusalFrom } from './refusal.ts';
import { factsOf, listLine, nextStep, statusSentence } from './sentences.ts';
import { defineTool, errorResult, type McpCall, type Tool, type ToolResult, textResult } from './tool.ts';
import { LONGEST_WAIT_S, type Waited, waitForEnd } from './wait.ts';

const id = z.string().min(1).describe('job_… as ask_o3 returned it.');
const waitS = (seconds: number) =>
  z
    .int()
    .min(0)
    .max(LONGEST_WAIT_S)
    .default(seconds)
    .describe('How long to wait for the answer, in seconds.');
const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };
/**
 * A finished job is among those that `check_o3_status` shows without an id for this long, in milliseconds.
 */
const RECENT_MS = 3_600_000;
/** The most jobs that `check_o3_status` shows without an id. */
const MOST_CHECKED = 20;
/**
 * How long a question may take, in seconds, before it is answered with a task. A task costs the client a
 * call.
 */
const BEFORE_TASK_S = 1;
/** How long `cancel_o3` waits for the worker that holds the job, in seconds. It takes at most one. */
const CANCEL_WAIT_S = 2;

const askO3 = defineTool({
  name: 'ask_o3',
  title: 'Ask o3',
  description:
    'Ask a slow reasoning model a hard question (design review, root cause, proof, second opinion). Takes ' +
    'minutes and costs money: ask once, with all it needs. The model sees only `question` and `context`, not ' +
    'your files or this chat. Returns a job id at once; the job runs on without you. Go on with other work, ' +
    'then call get_o3_result with that id. Asking the same again within 10 minutes finds the same job and ' +
    'costs nothing.',
  schema: z.strictObject({
    question: z
      .string()
      .refine((text) => text.trim() !== '', 'expected a question, got an empty text')
      .meta({ minLength: 1 })
      .describe('The whole question, self-contained.'),
    context: z.string().optional().describe('Code, logs, constraints: what the model must read.'),
    model: z.string().min(1).optional().describe('A configured model; omit for the default.'),
    reasoning_effort: z.enum(REASONING_EFFORTS).optional(),
    needed_by: timeOptions.needed_by.describe(
      'When the answer is needed, if not at once (ISO 8601 with its zone): the later, the less it may cost. Say the ' +
        'same time when you ask again.',
    ),
    wait_s: waitS(0),
    again: z.boolean().default(false).describe('true buys a new answer to a question that was asked before.'),
  }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  async answer(input, call) {
    const { wait_s: seconds } = input;
    const { job, isNew } = await askAndForget(input, call);
    const note = isNew ? '' : joinedNote(job, call);
    try {
      if (call.asTask === undefined) return await standing(await waitForEnd(job, seconds, call), call, note);
      // There is no progress of a task.
      const waited = await waitForEnd(job, BEFORE_TASK_S, { ...call, progress: async () => {} });
      return isFinishedJob(waited.job) ? await standing(waited, call, note) : call.asTask(waited.job);
    } catch (error: unknown) {
      if (refusalFrom(error) === undefined) throw error;
      return stillThere(job, note);
    }
  },
});

/** askAndForget asks, and forgets the question: it may be of 50 MB, and the call may wait for the answer. */
async function askAndForget(
  input: Question & { again: boolean; wait_s: number },
  call: McpCall,
): Promise<Asked> {
  const { again, wait_s: _, ...question } = input;
  const asked = await ask(question, again, call);
  Object.assign(input, { question: '', context: undefined });
  call.dropBody();
  return asked;
}

const checkO3Status = defineTool({
  name: 'check_o3_status',
  title: 'Check a job of o3',
  description:
    'How a job of ask_o3 is doing: status, place in line, time left. Without `id`: your unfinished jobs and ' +
    'those finished in the last hour. Costs nothing. Do not poll faster than every 30 s.',
  schema: z.strictObject({ id: id.optional() }),
  annotations: READS,
  async answer({ id: asked }, call) {
    if (asked !== undefined) {
      const job = await call.queue.get(asked);
      return textResult(`${statusSentence(job)} ${nextStep(job)}`, factsOf(job));
    }
    const { jobs } = await call.queue.list({ limit: MOST_CHECKED });
    const recent = jobs.filter(
      (job) => isFinishedJob(job) && call.now() - Date.parse(job.finished_at) < RECENT_MS,
    );
    const shown = newestFirst([...(await unfinished(call, MOST_CHECKED)), ...recent]);
    if (shown.length === 0) return textResult('You have no unfinished job, and none ended in the last hour.');
    return textResult(shown.slice(0, MOST_CHECKED).map(statusSentence).join('\n'));
  },
});

const getO3Result = defineTool({
  name: 'get_o3_result',
  title: 'Get the answer of o3',
  description:
    'The answer of a job of ask_o3. Waits up to `wait_s` for it; if it is not finished, says how long it may ' +
    'take: call again later. A long answer comes in parts: go on with `offset`.',
  schema: z.strictObject({
    id,
    wait_s: waitS(30),
    offset: z.int().min(0).max(1_000_000_000).default(0).describe('Where the part begins, in characters.'),
  }),
  annotations: READS,
  // Claude Code would put a result of more than 50,000 characters into a file.
  meta: { 'anthropic/maxResultSizeChars': 60_000 },
  async answer({ id: asked, wait_s: seconds, offset }, call) {
    const outcome = await call.queue.result(asked);
    if (outcome.status === 'completed') return answerResult(asked, outcome.result, offset);
    return standing(await waitForEnd(outcome.job, seconds, call), call, '', offset);
  },
});

const listO3Tasks = defineTool({
  name: 'list_o3_tasks',
  title: 'List jobs of o3',
  description:
    'Your latest jobs, newest first: id, status, age, cost, first words of the question. Use it when you have ' +
    'lost an id.',
  schema: z.strictObject({
    limit: z.int().min(1).max(50).default(10),
    open_only: z.boolean().default(false).describe('Only jobs that have not ended.'),
  }),
  annotations: READS,
  async answer({ limit, open_only: openOnly }, call) {
    const jobs = openOnly ? await unfinished(call, limit) : (await call.queue.list({ limit })).jobs;
    if (jobs.length === 0) return textResult(openOnly ? 'You have no unfinished job.' : 'You have no jobs.');
    return textResult(
      jobs
        .slice(0, limit)
        .map((job) => listLine(job, call.now()))
        .join('\n'),
    );
  },
});

const cancelO3 = defineTool({
  name: 'cancel_o3',
  title: 'Cancel a job of o3',
  description:
    'Stop a job for good and stop paying for it. What was used until then is still billed. Only when the user ' +
    'wants it, or the question has become pointless.',
  schema: z.strictObject({ id }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  async answer({ id: asked }, call) {
    const { job } = await waitForEnd(await call.queue.cancel(asked), CANCEL_WAIT_S, call);
    return textResult(statusSentence(job), factsOf(job));
  },
});

/** TOOLS are the tools in the order in which clients list them. */
export const TOOLS: readonly Tool[] = [askO3, checkO3Status, getO3Result, listO3Tasks, cancelO3];

/** standing answers with the answer of a job that has one, else with how the job stands. */
async function standing(
  { job, trouble }: Waited,
  call: McpCall,
  note: string,
  offset = 0,
): Promise<ToolResult> {
  if (job.status === 'completed') {
    const outcome = await call.queue.result(job.id);
    if (outcome.status === 'completed') return answerResult(job.id, outcome.result, offset, note);
  }
  const notes = [
    note,
    ...(trouble === undefined ? [] : [`It could not be looked at just now: ${trouble}.`]),
    ...(call.isStopping() ? ['This instance is restarting, so the wait has ended early.'] : []),
    nextStep(job),
  ].filter((text) => text !== '');
  const text = [statusSentence(job), ...notes].join(' ');
  return job.status === 'failed' || job.status === 'cancelled'
    ? errorResult(text, factsOf(job))
    : textResult(text, factsOf(job));
}

/** stillThere answers for a job that was enqueued and cannot be read now: its id must not be lost. */
function stillThere(job: JobView, note: string): ToolResult {
  const notes = [note, 'It could not be looked at just now. Call get_o3_result with this id later.'];
  return textResult([`${job.id} is stored.`, ...notes].join(' '), factsOf(job));
}

function joinedNote(job: JobView, call: McpCall): string {
  const age = durationText(call.now() - Date.parse(job.created_at));
  return `You asked the same ${age} ago, so this is that job, and nothing more is bought (again: true buys).`;
}

/** unfinished lists the newest jobs that have not ended. */
async function unfinished({ queue }: McpCall, limit: number): Promise<JobView[]> {
  const open = ['waiting', 'delayed', 'active'] as const;
  const pages = await Promise.all(open.map((status) => queue.list({ status, limit })));
  return newestFirst(pages.flatMap(({ jobs }) => jobs)).slice(0, limit);
}

/**
 * newestFirst orders jobs by their creation, each once: one may have changed its status between two reads.
 */
function newestFirst(jobs: readonly JobView[]): JobView[] {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  return [...byId.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
}
