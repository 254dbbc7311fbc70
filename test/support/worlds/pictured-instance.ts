import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AuditEntry } from '../../../src/audit/audit.ts';
import type { JobView } from '../../../src/job/view.ts';
import type { ModelView } from '../../../src/models/view.ts';
import type { UsageReport, UsageSums } from '../../../src/usage/report.ts';
import { active, completed, delayed, failed, waiting } from '../http/job-views.ts';

/**
 * PicturedInstance answers reads with the same jobs, models and usage at each run, so that captures of a
 * terminal can be compared byte by byte.
 */
export interface PicturedInstance {
  readonly url: string;
  /** The id of a job that waits, and of whose answer nothing is written. */
  readonly waitingId: string;
  /** The id of a job whose answer is being written. */
  readonly spokenId: string;
  stop(): Promise<void>;
}

const at = (second: number): string => new Date(Date.UTC(2026, 2, 1, 12, 0, second)).toISOString();
const made = (number: number, job: JobView, more: Partial<JobView>): JobView =>
  ({ ...job, ...more, id: idOf(number), created_at: at(60 - number) }) as JobView;
const idOf = (number: number): string =>
  `job_019ca94fc0de7a11${(number * 2_654_435_761).toString(16).padStart(16, '5f')}`;

const reason =
  'quota exhausted (the upstream account of o3 has no money left); one job tries again at 2026-03-01T12:01:00.000Z, or all jobs after `o3q resume o3`';
const answered = (cost: number, ms: number) => ({ ...completed, cost_usd: cost, duration_ms: ms });
const error = (code: string) => ({ error: { code, message: 'no such model', retryable: false } });
const sol = 'gpt-6.1-sol';
const unanswered = { ...completed.result, answer_preview: null, refusal: 'I cannot help with that.' };

const JOBS: JobView[] = [
  made(
    1,
    { ...waiting, waiting_for: reason, position: 2, eta_ms: null },
    { tenant: 'alice', question: 'Which of these 300 contracts renew in March?' },
  ),
  made(
    2,
    { ...waiting, waiting_for: reason, position: 1, eta_ms: null },
    { tenant: 'bob', question: '空はなぜ青いのですか？ 🚀' },
  ),
  made(
    3,
    { ...active, duration_ms: 384_000 },
    { tenant: 'alice', model: sol, question: 'Review this change for races and write the test that fails' },
  ),
  made(
    4,
    { ...active, duration_ms: 42_000 },
    { tenant: 'bob', model: sol, question: 'Why does the index grow?' },
  ),
  made(
    5,
    { ...delayed, attempt: 2, due_at: at(90) },
    { tenant: 'alice', question: 'Summarise the minutes of the board' },
  ),
  made(6, answered(1.204, 754_000), { tenant: 'alice', question: 'Plan the migration of 40 services' }),
  made(7, answered(0.0412, 61_000), { tenant: 'bob', model: sol, question: 'Translate the manual' }),
  made(8, { ...failed, ...error('timeout') } as JobView, {
    tenant: 'alice',
    question: 'Prove it',
    cost_usd: 0.9,
    attempt: 5,
  }),
  made(9, { ...failed, ...error('upstream_refused') } as JobView, {
    tenant: 'bob',
    question: 'What is in this image?',
  }),
  made(
    10,
    { ...answered(0.0031, 9_000), result: unanswered },
    { tenant: 'bob', question: 'How do I pick this lock?' },
  ),
];

const model = (name: string, state: Partial<ModelView['state']>): ModelView => ({
  model: name,
  upstream: name,
  fallbacks: [],
  upstream_model: name,
  limits: {
    requests_per_minute: 500,
    tokens_per_minute: 200_000,
    max_in_flight: 1000,
    max_in_flight_windowed: 2000,
  },
  told_limits: { requests_per_minute: null, tokens_per_minute: null },
  board: { paused: false, concurrency: null, rate_limit: null },
  state: {
    status: 'open',
    until: null,
    reason: null,
    workers: 3,
    free_slots: 5990,
    waiting: 0,
    in_flight: 0,
    in_flight_windowed: 0,
    no_windows_until: null,
    requests_last_minute: 0,
    tokens_last_minute: 0,
    shutdown_date: null,
    ...state,
  },
});
const MODELS: ModelView[] = [
  model('o3', { status: 'paused', reason, waiting: 1204, shutdown_date: '2026-12-11' }),
  model(sol, { in_flight: 2, requests_last_minute: 61, tokens_last_minute: 48_210 }),
];

const sums = (requests: number, tokens: number, cost: number): UsageSums => ({
  requests,
  input_tokens: tokens,
  cached_tokens: Math.round(tokens / 5),
  output_tokens: tokens * 3,
  reasoning_tokens: tokens * 2,
  ...{ cost_usd: cost, list_usd: cost * 1.25, saved_usd: cost * 0.25 },
  unpriced_requests: 0,
  estimated_requests: 0,
  estimated_usd: 0,
});
const USAGE: UsageReport = {
  from: '2026-02-28',
  to: '2026-03-01',
  currency: 'usd',
  total: sums(1415, 2_830_000, 71.4),
  rows: [
    { day: '2026-02-28', model: 'o3', tenant: 'alice', ...sums(1200, 2_400_000, 58.1) },
    { day: '2026-03-01', model: 'o3', tenant: 'bob', ...sums(200, 400_000, 12.9) },
    { day: '2026-03-01', model: sol, tenant: 'alice', ...sums(15, 30_000, 0.4) },
  ],
};

const act = (
  second: number,
  by: string,
  what: AuditEntry['what'],
  subject: string,
  outcome: string,
): AuditEntry => ({ at: at(second), by, what, subject, outcome });
const ACTION = 'act_019ca94fc0de7a115f5f5f5154a8c0de';
const AUDIT: AuditEntry[] = [
  act(58, 'admin', 'model.resume', 'o3', 'resumed'),
  act(57, 'alice', 'action.stop', ACTION, 'stopping'),
  act(55, 'alice', 'action.start', ACTION, 'retry of 118 jobs'),
  act(50, 'bob', 'job.delete', idOf(11), 'deleted'),
  act(49, 'alice', 'job.cancel', idOf(4), 'cancelling'),
  act(48, 'admin', 'job.retry', idOf(8), 'retried'),
  act(46, 'alice', 'login', 'alice', 'logged in'),
];

/** startPicturedInstance starts the instance on a free port. */
export async function startPicturedInstance(): Promise<PicturedInstance> {
  const [waitingId, spokenId] = [idOf(2), idOf(4)];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const id = /^\/jobs\/(\w+)/.exec(pathname)?.[1];
    const job = JOBS.find((each) => each.id === id);
    if (pathname.endsWith('/events') && job !== undefined) return sendEvents(response, job);
    const status = searchParams.get('status');
    const jobs = JOBS.filter((each) => status === null || each.status === status);
    const bodies: Record<string, unknown> = {
      '/jobs': { jobs, next_cursor: null },
      '/models': { models: MODELS },
      '/usage': USAGE,
      '/audit': { entries: AUDIT, next_cursor: null },
    };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(bodies[pathname] ?? job));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    waitingId,
    spokenId,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends the events of a job that does not end. */
function sendEvents(response: ServerResponse, job: JobView): void {
  const send = (type: string, data: unknown, number?: number): void => {
    const id = number === undefined ? '' : `id: ${number}\n`;
    response.write(`${id}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  // The clock of a job that waits counts from its creation.
  send('status', { ...job, created_at: new Date(Date.now() - 42_000).toISOString() });
  if (job.status !== 'active') return;
  send('reasoning', { text: 'The index holds every version of a row.', attempt: 1 }, 1);
  send(
    'delta',
    { text: 'An index grows because an update writes a new version of the row, and ', attempt: 1 },
    2,
  );
  send('delta', { text: 'each version has an entry of its own.', attempt: 1 }, 3);
}
