import type { Action, Selection } from '../../src/job/action.ts';
import type { CompletedJob, FailedJob, JobResult, WaitingJob } from '../../src/job/view.ts';
import { HttpProblem, type HttpProblemCode, noResult } from '../http/http-problem.ts';

const common = {
  id: 'job_0198f2c4d1e27a0bb1c5d6a9e3f40718',
  model: 'o3',
  tenant: null,
  question: 'Why is the sky blue?',
  metadata: { agent: 'claude-code' },
  created_at: '2026-03-01T12:00:00.000Z',
  needed_by: null,
  max_attempts: 5,
  uncertain_purchases: 0,
};
const answer = 'Air scatters blue light more than red light.';
const usage = {
  input_tokens: 13,
  cached_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 843,
  reasoning_tokens: 832,
  total_tokens: 856,
};

export const waitingJobExample: WaitingJob = {
  ...common,
  completion_window: null,
  attempt: 0,
  purchases: 0,
  ...{ cost_usd: null, list_usd: null, saved_usd: null },
  cost_estimated: false,
  simulated: false,
  status: 'waiting',
  waiting_for: 'a free worker',
  position: null,
  eta_ms: null,
  eta_basis: null,
};

export const completedJobExample: CompletedJob = {
  ...common,
  completion_window: 'soonest',
  attempt: 1,
  purchases: 1,
  ...{ cost_usd: 0.00677, list_usd: 0.00677, saved_usd: 0 },
  cost_estimated: false,
  simulated: false,
  status: 'completed',
  started_at: '2026-03-01T12:00:00.012Z',
  finished_at: '2026-03-01T12:00:41.330Z',
  duration_ms: 41_318,
  upstream_id: 'resp_68c0a1f2b3d4',
  result: {
    usage,
    ...{ cost_usd: 0.00677, list_usd: 0.00677, saved_usd: 0, cost_estimated: false },
    simulated: false,
    service_tier: 'default',
    answer_preview: answer,
    upstream_model: 'o3-2025-04-16',
    fallback_from: null,
    fallback_extra_usd: null,
    incomplete_reason: null,
    refusal: null,
  },
};

export const resultExample: JobResult = {
  answer,
  usage,
  ...{ cost_usd: 0.00677, list_usd: 0.00677, saved_usd: 0, cost_estimated: false },
  simulated: false,
  service_tier: 'default',
  model: 'o3',
  upstream_model: 'o3-2025-04-16',
  fallback_from: null,
  fallback_extra_usd: null,
  incomplete_reason: null,
  refusal: null,
  response: {
    id: 'resp_68c0a1f2b3d4',
    object: 'response',
    status: 'completed',
    output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: answer }] }],
  },
};

const failedJobExample: FailedJob = {
  ...common,
  completion_window: null,
  attempt: 1,
  purchases: 1,
  ...{ cost_usd: null, list_usd: null, saved_usd: null },
  cost_estimated: false,
  simulated: false,
  status: 'failed',
  started_at: '2026-03-01T12:00:00.012Z',
  finished_at: '2026-03-01T12:00:02.207Z',
  duration_ms: 2195,
  upstream_id: null,
  error: {
    code: 'quota_exhausted',
    message: 'You exceeded your current quota, please check your plan and billing details.',
    retryable: false,
  },
  usage: null,
};

/** Refusals with a real example; the others get a general one. */
const EXAMPLES: Partial<Record<HttpProblemCode, HttpProblem>> = {
  invalid_request: new HttpProblem(
    'invalid_request',
    'The request was refused: priority: expected number to be >=0, got -1',
    { flaws: [{ path: 'priority', message: 'expected number to be >=0, got -1' }] },
  ),
  job_failed: noResult(failedJobExample),
};

export function problemExample(code: HttpProblemCode): unknown {
  return (EXAMPLES[code] ?? new HttpProblem(code, 'What was expected, what came, and what to do')).toJSON();
}

export const selectionExample: Selection = { matching: 120, more: false, cost_usd: 3.1 };

export const actionExample: Action = {
  id: 'act_01a226c497ab72feb91543b4e692e009',
  kind: 'retry',
  status: 'running',
  filter: { error: 'timeout', status: 'failed' },
  started_by: 'admin',
  created_at: '2026-11-29T10:00:00.000Z',
  finished_at: null,
  ...selectionExample,
  done: 42,
  skipped: { ended_after_start: 1 },
  failed: {},
};
