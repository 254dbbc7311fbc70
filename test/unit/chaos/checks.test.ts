import { findViolations } from '../../../chaos/evidence/checks.ts';
import type { JobEvidence, Leftovers } from '../../../chaos/evidence/evidence.ts';
import { createHistory } from '../../../chaos/evidence/history.ts';
import type { LedgerEntry } from '../../../chaos/evidence/ledger.ts';
import type { JobView } from '../../../src/job/view.ts';

const CANCELLED_AT = 50_000;
const NOTHING_LEFT: Leftovers = { locks: [], active: [], live: [], running: [] };

const base = {
  id: 'job_1',
  model: 'o3',
  tenant: null,
  question: 'job-0001 thinks',
  created_at: '2026-01-01T00:00:00.000Z',
  attempt: 1,
  max_attempts: 5,
  started_at: '2026-01-01T00:00:00.000Z',
  finished_at: '2026-01-01T00:00:09.000Z',
  duration_ms: 9000,
  upstream_id: 'resp_1',
  purchases: 1,
  uncertain_purchases: 0,
  ...{ cost_usd: null, list_usd: null, saved_usd: null },
  ...{ metadata: {}, needed_by: null, completion_window: 'soonest' as const },
  cost_estimated: false,
  simulated: false,
};
const result = {
  usage: null,
  ...{ cost_usd: null, list_usd: null, saved_usd: null, cost_estimated: false },
  simulated: false,
  service_tier: null,
  answer_preview: '',
  upstream_model: 'o3',
  fallback_from: null,
  fallback_extra_usd: null,
  incomplete_reason: null,
  refusal: null,
};
const completed: JobView = { ...base, status: 'completed', result };
const cancelled: JobView = { ...base, status: 'cancelled', usage: null };
const active: JobView = {
  ...base,
  status: 'active',
  progress: { upstream_status: null, output_characters: 0, seen_at: null },
  cancelling: false,
};

function purchase(changes: Partial<LedgerEntry> = {}): LedgerEntry {
  const model = { model: 'o3', snapshot: 'o3-2025-04-16', service_tier: 'default', usage: null };
  const noWindow = { completion_window: 'soonest', window_ends_at: null, cost_usd: null, list_usd: null };
  const entry = { response_id: 'resp_1', ...model, metadata: {}, question: base.question, created_at: 1000 };
  return {
    ...entry,
    ...noWindow,
    state: 'completed',
    ended_at: 2000,
    cancelled_at: null,
    polls: 0,
    ...changes,
  };
}

/** A job without problems, except for the given changes. */
function evidenceOf(seen: JobView[], changes: Partial<JobEvidence> = {}): JobEvidence {
  const history = createHistory();
  history.accepted({
    ...base,
    status: 'waiting',
    waiting_for: 'a free worker',
    position: null,
    eta_ms: null,
    eta_basis: null,
  });
  for (const view of seen) {
    if (view.status === 'cancelled') history.cancelAnswered(view, CANCELLED_AT);
    else history.saw(view);
  }
  const job = history.jobs.get('job-0001');
  if (job === undefined) throw new Error('expected the job in the history');
  const last = seen.at(-1);
  const bullmq = last?.status === 'cancelled' ? 'failed' : last?.status;
  return { history: job, last, bullmq, bought: [purchase()], ...changes };
}

function rulesBroken(job: JobEvidence): string[] {
  return findViolations({ jobs: [job], leftovers: NOTHING_LEFT }).map(({ rule }) => rule);
}

const BOUGHT_ONCE =
  'a job is bought once, unless the upstream lost or failed it, or the purchase is uncertain';
const ONE_END = 'a job ends once and keeps its final status';
const NOT_AFTER_CANCEL = 'no job is bought after its cancel was answered, and a late purchase is stopped';

test('a job without problems breaks no rule', () => {
  expect(rulesBroken(evidenceOf([active, completed, completed]))).toEqual([]);
  expect(rulesBroken(evidenceOf([active, cancelled]))).toEqual([]);
});

test('an accepted job that is gone is a violation', () => {
  expect(rulesBroken(evidenceOf([], { last: undefined }))).toEqual(['an accepted job is never lost']);
});

test.each([
  ['that has two ends', [cancelled, completed]],
  ['that runs again after its end', [completed, active]],
  ['that has no end', [active]],
])('a job %s is a violation', (_what, seen) => {
  expect(rulesBroken(evidenceOf(seen))).toEqual([ONE_END]);
});

test('an answer that was asked for before the end was seen is no second status', () => {
  const history = createHistory();
  history.saw(cancelled);
  const endSeenAt = history.jobs.get('job-0001')?.endSeenAt ?? 0;
  history.saw(active, endSeenAt - 1);
  expect(history.jobs.get('job-0001')?.ends).toEqual(['cancelled']);
  history.saw(active, endSeenAt);
  expect(history.jobs.get('job-0001')?.ends).toEqual(['cancelled', 'active']);
});

describe('two purchases of one job', () => {
  const twice = [purchase(), purchase({ response_id: 'resp_2', created_at: 2000 })];

  it('two purchases of one job are a violation that names both', () => {
    const [violation] = findViolations({
      jobs: [evidenceOf([{ ...completed, purchases: 2 }], { bought: twice })],
      leftovers: NOTHING_LEFT,
    });
    expect(violation).toMatchObject({ rule: BOUGHT_ONCE, about: 'job-0001 (job_1)' });
    expect(violation?.seen).toMatch(/resp_1 .*resp_2 /);
  });

  it.each([
    ['failed', purchase({ state: 'failed' })],
    ['lost', purchase({ metadata: { sim: 'cut, gone' } })],
  ])('two purchases are allowed when the upstream %s the first response', (_what, first) => {
    const last = { ...completed, purchases: 2 };
    expect(rulesBroken(evidenceOf([last], { bought: [first, purchase()] }))).toEqual([]);
  });

  it('two purchases are allowed when the record has an uncertain one', () => {
    const last = { ...completed, uncertain_purchases: 1 };
    expect(rulesBroken(evidenceOf([last], { bought: twice }))).toEqual([]);
  });
});

test('a purchase that is missing in the record is a violation', () => {
  const last = { ...completed, purchases: 0 };
  expect(rulesBroken(evidenceOf([last]))).toEqual(['the job counts every purchase']);
});

test.each([
  [
    'long after the answer',
    [purchase({ created_at: CANCELLED_AT + 1001, cancelled_at: CANCELLED_AT + 1100 })],
    [NOT_AFTER_CANCEL],
  ],
  [
    'on its way, and never stopped',
    [purchase({ created_at: CANCELLED_AT + 500, ended_at: CANCELLED_AT + 1001 })],
    [NOT_AFTER_CANCEL],
  ],
  [
    'on its way, and ended before a worker had to stop it',
    [purchase({ created_at: CANCELLED_AT + 500, ended_at: CANCELLED_AT + 600 })],
    [],
  ],
  [
    'on its way, and stopped',
    [purchase({ created_at: CANCELLED_AT + 500, cancelled_at: CANCELLED_AT + 600 })],
    [],
  ],
  ['before the answer', [purchase({ created_at: CANCELLED_AT - 1 })], []],
])('a cancelled job that was bought %s breaks the expected rules', (_what, bought, broken) => {
  expect(rulesBroken(evidenceOf([cancelled], { bought }))).toEqual(broken);
});

test('a cancelled job with one uncertain purchase may be bought late once', () => {
  const late = purchase({ created_at: CANCELLED_AT + 5000, ended_at: CANCELLED_AT + 9000 });
  const last = { ...cancelled, uncertain_purchases: 1, purchases: 0 };
  expect(rulesBroken(evidenceOf([last], { bought: [late] }))).toEqual([]);
  expect(rulesBroken(evidenceOf([last], { bought: [late, late] }))).toContain(NOT_AFTER_CANCEL);
});

test('a state in BullMQ that differs from the view is a violation', () => {
  expect(rulesBroken(evidenceOf([completed], { bullmq: 'active' }))).toEqual([
    "BullMQ's state agrees with the view",
  ]);
});

test('a job that failed with internal_error is a violation', () => {
  const error = { code: 'internal_error', message: 'no', retryable: false };
  expect(rulesBroken(evidenceOf([{ ...base, status: 'failed', error, usage: null }]))).toEqual([
    'no job fails with an internal error',
  ]);
});

test('leftovers are violations that name them', () => {
  const leftovers = { ...NOTHING_LEFT, running: ['job-0007'], locks: ['o3q:{o3}:job_9:lock'] };
  expect(findViolations({ jobs: [], leftovers })).toEqual([
    expect.objectContaining({ about: 'locks', seen: '1: o3q:{o3}:job_9:lock' }),
    expect.objectContaining({ about: 'running', seen: '1: job-0007' }),
  ]);
});

test('one response may go on for each uncertain purchase, and no more', () => {
  const jobs = [evidenceOf([{ ...completed, uncertain_purchases: 1 }])];
  const leftovers = { ...NOTHING_LEFT, running: ['job-0001'] };
  expect(findViolations({ jobs, leftovers })).toEqual([]);
  leftovers.running.push('job-0001');
  expect(findViolations({ jobs, leftovers })).toEqual([
    expect.objectContaining({ about: 'running', seen: '1: job-0001' }),
  ]);
});
