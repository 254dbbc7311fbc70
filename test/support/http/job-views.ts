import type {
  ActiveJob,
  CancelledJob,
  CompletedJob,
  DelayedJob,
  FailedJob,
  JobResult,
  WaitingJob,
} from '../../../src/job/view.ts';

/** One job in each of its statuses. */
const base = {
  id: 'job-1',
  model: 'o3',
  tenant: null,
  question: 'Why is the sky blue?',
  metadata: {},
  created_at: '2025-11-23T03:00:00.000Z',
  ...{ needed_by: null, completion_window: 'soonest' as const },
  attempt: 1,
  max_attempts: 5,
  purchases: 1,
  uncertain_purchases: 0,
  ...{ cost_usd: null, list_usd: null, saved_usd: null },
  cost_estimated: false,
  simulated: false,
};
const finished = {
  started_at: '2025-11-23T03:00:01.000Z',
  finished_at: '2025-11-23T03:03:05.000Z',
  duration_ms: 184_000,
  upstream_id: 'resp_1',
};
const usage = {
  input_tokens: 10,
  cached_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 1224,
  reasoning_tokens: 1000,
  total_tokens: 1234,
};

export const waiting: WaitingJob = {
  ...base,
  status: 'waiting',
  attempt: 0,
  waiting_for: 'its turn: 4 jobs before it',
  position: 5,
  eta_ms: 90_000,
  eta_basis:
    '4 jobs before it at 0.1 starts per second (limit of 6 requests per minute), then 50 s for the answer',
};
export const delayed: DelayedJob = {
  ...base,
  status: 'delayed',
  waiting_for: 'its next attempt',
  due_at: '2025-11-23T03:10:00.000Z',
};
export const active: ActiveJob = {
  ...base,
  status: 'active',
  started_at: finished.started_at,
  duration_ms: 12_000,
  upstream_id: 'resp_1',
  progress: { upstream_status: 'in_progress', output_characters: 0, seen_at: null },
  cancelling: false,
};
export const completed: CompletedJob = {
  ...base,
  ...finished,
  status: 'completed',
  ...{ cost_usd: 0.009812, list_usd: 0.009812, saved_usd: 0, cost_estimated: false },
  simulated: false,
  result: {
    usage,
    ...{ cost_usd: 0.009812, list_usd: 0.009812, saved_usd: 0, cost_estimated: false },
    simulated: false,
    service_tier: 'default',
    answer_preview: 'Rayleigh scattering.',
    upstream_model: 'o3-2025-04-16',
    fallback_from: null,
    fallback_extra_usd: null,
    incomplete_reason: null,
    refusal: null,
  },
};
export const failed: FailedJob = {
  ...base,
  ...finished,
  status: 'failed',
  error: { code: 'upstream_refused', message: 'no such model', retryable: false },
  usage: null,
};
export const cancelled: CancelledJob = { ...base, ...finished, status: 'cancelled', usage: null };
export const result: JobResult = {
  answer: 'Rayleigh scattering.',
  usage,
  ...{ cost_usd: 0.009812, list_usd: 0.009812, saved_usd: 0, cost_estimated: false },
  simulated: false,
  service_tier: 'default',
  model: 'o3',
  upstream_model: 'o3-2025-04-16',
  fallback_from: null,
  fallback_extra_usd: null,
  incomplete_reason: null,
  refusal: null,
  response: { id: 'resp_1' },
};
