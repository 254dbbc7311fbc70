import type { ActiveJob, JobResult } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const usage = {
  input_tokens: expect.any(Number),
  cached_tokens: expect.any(Number),
  cache_write_tokens: expect.any(Number),
  output_tokens: expect.any(Number),
  reasoning_tokens: expect.any(Number),
  total_tokens: expect.any(Number),
};

const post = (path: string, body?: unknown): Promise<Answer> =>
  call(instance.url, 'POST', path, { ...(body !== undefined && { body }) });
const get = (path: string): Promise<Answer> => call(instance.url, 'GET', path);

/** Everything that a view of that status has, and nothing else. */
function base(id: string, question: string, metadata = {}): Record<string, unknown> {
  const spent = {
    ...{ purchases: 1, uncertain_purchases: 0 },
    ...{ cost_usd: null, list_usd: null, saved_usd: null, cost_estimated: false, simulated: false },
  };
  const bought = { needed_by: null, completion_window: 'soonest' };
  const asked = { model: 'o3', tenant: null, question, metadata, ...bought };
  return { id, ...asked, created_at: iso, attempt: 1, max_attempts: 5, ...spent };
}
const cost = { cost_usd: expect.any(Number), list_usd: expect.any(Number), saved_usd: 0 };
const ended = { started_at: iso, finished_at: iso, duration_ms: expect.any(Number) };

it('the health routes say that the process runs and can serve', async () => {
  expect(await get('/livez')).toMatchObject({ status: 200, body: { status: 'ok' } });
  expect(await get('/readyz')).toMatchObject({ status: 200, body: { status: 'ok' } });
  expect(await call(instance.url, 'HEAD', '/readyz')).toMatchObject({ status: 200, body: '' });
});

it('a question is accepted at once, answered in the background, and the result can be read', async () => {
  const accepted = await post('/jobs', { question: 'Why is the sky dark at night?' });
  const { id } = accepted.body as { id: string };
  expect(id).toMatch(/^job_[0-9a-f]{32}$/);
  expect(accepted).toMatchObject({ status: 202, headers: { location: `/jobs/${id}` } });
  expect(accepted.body).toEqual({
    ...base(id, 'Why is the sky dark at night?'),
    attempt: 0,
    ...{ purchases: 0, completion_window: null },
    status: 'waiting',
    waiting_for: 'a free worker',
    position: null,
    eta_ms: null,
    eta_basis: null,
  });
  const job = await reached(instance.url, id, 'completed');
  expect(job).toEqual({
    ...base(id, 'Why is the sky dark at night?'),
    ...ended,
    ...cost,
    status: 'completed',
    upstream_id: expect.stringMatching(/^resp_/),
    result: {
      usage,
      ...{ cost_usd: job.cost_usd, list_usd: job.cost_usd, saved_usd: 0, cost_estimated: false },
      simulated: false,
      service_tier: 'default',
      answer_preview: expect.stringContaining('Why is the sky dark at night?'),
      upstream_model: expect.stringMatching(/^o3/),
      fallback_from: null,
      fallback_extra_usd: null,
      incomplete_reason: null,
      refusal: null,
    },
  });
  const result = await get(`/jobs/${id}/result`);
  expect(result).toMatchObject({ status: 200 });
  expect(result.body).toEqual({
    answer: expect.stringContaining('Why is the sky dark at night?'),
    usage,
    ...{ cost_usd: job.cost_usd, list_usd: job.cost_usd, saved_usd: 0, cost_estimated: false },
    simulated: false,
    service_tier: 'default',
    model: 'o3',
    upstream_model: job.result.upstream_model,
    fallback_from: null,
    fallback_extra_usd: null,
    incomplete_reason: null,
    refusal: null,
    response: expect.objectContaining({ id: job.upstream_id, object: 'response', status: 'completed' }),
  });
  const { answer } = result.body as JobResult;
  expect(answer?.startsWith(String(job.result.answer_preview))).toBe(true);
});

it('every field of a question reaches the upstream, and no field of the queue does', async () => {
  const { id } = await enqueue(instance.url, {
    question: 'Why?',
    context: 'Because.',
    instructions: 'Be short.',
    reasoning_effort: 'low',
    max_output_tokens: 2000,
    metadata: { owner: 'alice' },
    model: 'o3',
    priority: 3,
    max_attempts: 2,
    timeout_ms: 60_000,
    stream: false,
  });
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ max_attempts: 2, question: 'Why?' });
  const [bought] = instance.simulator.ledger.entries();
  expect(bought).toMatchObject({ mode: 'background', metadata: { owner: 'alice' } });
  expect([...(bought?.fields ?? [])].sort()).toEqual([
    ...['background', 'input', 'instructions', 'max_output_tokens', 'metadata', 'model', 'reasoning'],
    ...['store', 'stream'],
  ]);
});

it('a body of the Responses API reaches the upstream with fields unknown to o3-queue', async () => {
  const request = {
    model: 'o3',
    input: [
      { role: 'developer', content: 'Be short.' },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'Why' },
          { type: 'input_text', text: 'not?' },
        ],
      },
    ],
    invented_field: { a: [1, null] },
  };
  const { id } = await enqueue(instance.url, { request });
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ question: 'Why not?' });
  expect(instance.simulator.ledger.entries()[0]?.fields).toContain('invented_field');
});

it('a long question is shown by its first 100 characters, without cutting an emoji', async () => {
  const question = '🦄'.repeat(150);
  const { id } = await enqueue(instance.url, { question });
  expect((await viewOf(instance.url, id)).question).toBe(`${'🦄'.repeat(100)}...`);
  await reached(instance.url, id, 'completed');
});

it('a delayed job says when it is due, and does not run earlier', async () => {
  const accepted = await post('/jobs', { question: 'Later?', delay_ms: 3_600_000 });
  const job = accepted.body as { id: string; created_at: string };
  const dueAt = new Date(Date.parse(job.created_at) + 3_600_000).toISOString();
  const view = {
    ...base(job.id, 'Later?'),
    attempt: 0,
    ...{ purchases: 0, completion_window: null },
    status: 'delayed',
    due_at: dueAt,
    waiting_for: `its time (at ${dueAt})`,
  };
  expect(accepted.body).toEqual(view);
  expect(await viewOf(instance.url, job.id)).toEqual(view);
  expect(await get(`/jobs/${job.id}/result`)).toMatchObject({ status: 202, body: view });
  expect(instance.simulator.ledger.totals().purchases).toBe(0);
});

it('an active job shows its progress; after a cancel it stays cancelled, and the upstream is told', async () => {
  const metadata = { sim: 'stall', sim_events: '3' };
  const { id } = await enqueue(instance.url, { question: 'For ever?', metadata });
  const job = await bought(id);
  expect(job).toEqual({
    ...base(id, 'For ever?', metadata),
    status: 'active',
    started_at: iso,
    duration_ms: expect.any(Number),
    upstream_id: expect.stringMatching(/^resp_/),
    // The worker may have noted an event by now.
    progress: expect.objectContaining({ upstream_status: expect.any(String), output_characters: 0 }),
    cancelling: false,
  });
  expect(await get(`/jobs/${id}/result`)).toMatchObject({ status: 202, body: { id, status: 'active' } });
  expectProblem(await call(instance.url, 'DELETE', `/jobs/${id}`), 409, 'job_not_finished');
  expectProblem(await post(`/jobs/${id}/retry`), 409, 'job_not_finished');

  expect(await post(`/jobs/${id}/cancel`)).toMatchObject({ status: 202, body: { id } });
  const view = {
    ...base(id, 'For ever?', metadata),
    ...ended,
    ...{ ...cost, cost_estimated: true },
    status: 'cancelled',
    upstream_id: job.upstream_id,
    usage: null,
  };
  expect(await reached(instance.url, id, 'cancelled')).toEqual(view);
  expect(await post(`/jobs/${id}/cancel`)).toMatchObject({ status: 200, body: view });
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, cancelled: 1 });
  const result = await get(`/jobs/${id}/result`);
  expectProblem(result, 409, 'job_cancelled');
  expect(result.body).toMatchObject({ job: view, detail: expect.stringContaining('was cancelled at') });
});

/** An active job, once it has its response. */
function bought(id: string): Promise<ActiveJob> {
  return eventually(async () => {
    const job = await viewOf(instance.url, id);
    expect(job).toMatchObject({ status: 'active', upstream_id: expect.any(String) });
    return job as ActiveJob;
  });
}

it('a failed job says why, with its code, and its result is a problem that holds the job', async () => {
  const metadata = { sim: '400' };
  const { id } = await enqueue(instance.url, { question: 'Bad?', metadata });
  const job = await reached(instance.url, id, 'failed');
  expect(job).toEqual({
    ...base(id, 'Bad?', metadata),
    ...ended,
    status: 'failed',
    ...{ purchases: 0, completion_window: null },
    upstream_id: null,
    error: { code: 'invalid_request', message: expect.stringContaining('400'), retryable: false },
    usage: null,
  });
  const result = await get(`/jobs/${id}/result`);
  expectProblem(result, 409, 'job_failed');
  expect(result.body).toMatchObject({
    detail: `Job ${id} failed: invalid_request: ${job.error.message}`,
    job,
  });
  expectProblem(await post(`/jobs/${id}/cancel`), 409, 'job_finished');
});

it('a retryable failure is tried again, then final when its attempts are used up', async () => {
  const { id } = await enqueue(instance.url, { question: 'Up?', max_attempts: 3, metadata: { sim: '503' } });
  expect(await reached(instance.url, id, 'failed')).toMatchObject({
    attempt: 3,
    max_attempts: 3,
    error: { code: 'upstream_overloaded', retryable: true },
  });
  expect(instance.simulator.ledger.totals()).toMatchObject({ rejected: 3, purchases: 0 });
});

it('a job says when its answer is needed, and the completion window that its body asks for', async () => {
  const [needed_by, delay_ms] = ['2099-11-30T08:00:00+01:00', 60_000];
  const accepted = await post('/jobs', { question: 'When?', needed_by, on_late: 'buy_again', delay_ms });
  const view = { needed_by: '2099-11-30T07:00:00.000Z', completion_window: null };
  expect(accepted).toMatchObject({ status: 202, body: view });
  const { id } = accepted.body as { id: string };
  expect((await get(`/jobs/${id}`)).body).toMatchObject({ needed_by: view.needed_by });

  const request = { input: 'When?', background_options: { completion_window: '8h' } };
  const asked = await post('/jobs', { request, delay_ms });
  expect(asked.body).toMatchObject({ needed_by: null, completion_window: '8h' });

  // A wish that has passed is a job like any other; one without its time is none.
  const late = { question: 'Late?', needed_by: '2020-01-01T00:00:00Z', delay_ms };
  expect(await post('/jobs', late)).toMatchObject({ status: 202 });
  expect(await post('/jobs', { question: 'Late?', on_late: 'wait' })).toMatchObject({
    status: 400,
    body: { code: 'invalid_request', detail: expect.stringContaining('on_late: expected "needed_by"') },
  });
});

it('a failed job is retried as a new run from its first attempt', async () => {
  const { id } = await enqueue(instance.url, {
    question: 'Second try?',
    max_attempts: 1,
    metadata: { sim: '503', sim_times: '1' },
  });
  expect(await reached(instance.url, id, 'failed')).toMatchObject({ attempt: 1 });
  const retried = await post(`/jobs/${id}/retry`);
  expect(retried).toMatchObject({ status: 202, body: { id } });
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ attempt: 1, max_attempts: 1 });
  expect(instance.simulator.ledger.totals()).toMatchObject({ rejected: 1, purchases: 1 });
  for (const status of ['failed', 'waiting', 'active']) {
    expect((await get(`/jobs?status=${status}&q=Second try?`.replaceAll(' ', '%20'))).body).toMatchObject({
      jobs: [],
    });
  }
});

it('a completed job can be neither retried nor cancelled', async () => {
  const { id } = await enqueue(instance.url, { question: 'Done?' });
  await reached(instance.url, id, 'completed');
  expectProblem(await post(`/jobs/${id}/retry`), 409, 'job_finished');
  expectProblem(await post(`/jobs/${id}/cancel`), 409, 'job_finished');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});
