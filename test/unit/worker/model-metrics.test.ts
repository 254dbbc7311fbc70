import { createProcessMetrics } from '../../../src/metrics/process-metrics.ts';
import { runRecordFrom } from '../../../src/run/record.ts';
import { createModelMetrics } from '../../../worker/metrics/model-metrics.ts';
import { createRunObserver } from '../../../worker/metrics/run-observer.ts';
import { ADOPTABLE, ANSWERED, attemptOf } from '../../support/worker/scripted-attempt.ts';

function openMetrics() {
  const shared = createProcessMetrics();
  return { metrics: createModelMetrics(shared)('o3'), text: shared.text };
}

const USAGE = {
  ...{ input_tokens: 100, cached_tokens: 60, cache_write_tokens: 10 },
  ...{ output_tokens: 50, reasoning_tokens: 40, total_tokens: 150 },
};
const SPENT = {
  responseId: 'resp_1',
  usage: USAGE,
  cost: { nano: 2_500_000_000, listNano: 2_500_000_000, isEstimated: false },
};

describe('the metrics of a model', () => {
  it('begin at 0, so that increase() sees the first event', async () => {
    const text = await openMetrics().text();
    for (const line of [
      'o3q_jobs_total{model="o3",status="completed",code=""} 0',
      'o3q_jobs_total{model="o3",status="cancelled",code=""} 0',
      'o3q_jobs_total{model="o3",status="failed",code="deadline_passed"} 0',
      'o3q_attempts_total{model="o3",outcome="held"} 0',
      'o3q_window_total{model="o3",window="8h",met="false"} 0',
      'o3q_deadline_missed_total{model="o3"} 0',
      'o3q_tokens_total{model="o3",type="cache_write"} 0',
      'o3q_cost_usd_total{model="o3"} 0',
      'o3q_answer_seconds_count{model="o3"} 0',
    ])
      expect(text).toContain(`\n${line}\n`);
  });

  it.each([
    [7200, 'true'],
    [7201, 'false'],
  ])('count the window of a real attempt whose response took %s s as met: %s', async (completed_at, met) => {
    const { metrics, text } = openMetrics();
    const lookup = { ...ANSWERED, created_at: 0, completed_at };
    const { run } = attemptOf(
      { ...ADOPTABLE, completionWindow: '2h', responseCreatedAt: Date.now() },
      { lookup },
    );
    metrics.outcome(await run());
    const told = await text();
    expect(told).toContain(`o3q_window_total{model="o3",window="2h",met="${met}"} 1\n`);
    expect(told).toContain(
      `o3q_window_total{model="o3",window="2h",met="${met === 'true' ? 'false' : 'true'}"} 0\n`,
    );
    expect(told).toContain('o3q_answer_seconds_count{model="o3"} 1\n');
  });

  it('count each token as of one type, and dollars', async () => {
    const { metrics, text } = openMetrics();
    metrics.spent(SPENT, false);
    const told = await text();
    const counted = [...told.matchAll(/^o3q_tokens_total\{model="o3",type="(\w+)"\} (\d+)$/gm)];
    expect(Object.fromEntries(counted.map(([, type, count]) => [type, Number(count)]))).toEqual({
      ...{ input: 30, cached_input: 60, cache_write: 10, output: 10, reasoning: 40 },
    });
    expect(told).toContain('o3q_cost_usd_total{model="o3"} 2.5\n');
  });

  it('count no dollars for what the simulator answers, and survive absurd numbers', async () => {
    const { metrics, text } = openMetrics();
    metrics.spent(SPENT, true);
    metrics.spent(
      { ...SPENT, cost: null, usage: { ...USAGE, cached_tokens: 1e9, output_tokens: Number.NaN } },
      false,
    );
    const told = await text();
    expect(told).toContain('o3q_cost_usd_total{model="o3"} 0\n');
    expect(told).toContain('o3q_tokens_total{model="o3",type="input"} 30\n');
    expect(told).toContain('o3q_tokens_total{model="o3",type="output"} 10\n');
  });
});

describe('the observer of a run', () => {
  const observerOf = (opts: object, attemptsMade = 0) => {
    const { metrics, text } = openMetrics();
    const observer = createRunObserver({ opts, timestamp: 1000, attemptsMade }, metrics, () => false);
    return { observer, text };
  };
  const retried = { at: 50_000, what: 'retry', by: null, action: null } as const;

  it.each([
    ['its enqueue', {}, [], 60],
    ['the end of its delay', { due: 41_000, delay: 2_000_000_000_000 }, [], 20],
    ['the end of the delay of another BullMQ client', { delay: 30_000 }, [], 30],
    ['its enqueue, although it was parked', { delay: 2_190_000_000_000 }, [], 60],
    ['its retry by hand', {}, [retried], 11],
  ])('measures the time in the queue from %s', async (_, opts, acts, seconds) => {
    const { observer, text } = observerOf(opts);
    observer.onFirstStart?.({ ...runRecordFrom([]), startedAt: 61_000, acts });
    expect(await text()).toContain(`o3q_queue_time_seconds_sum{model="o3"} ${seconds}\n`);
  });

  it('measures no time for a retry on Bull Board, whose time is not known', async () => {
    const { observer, text } = observerOf({}, 3);
    observer.onFirstStart?.({ ...runRecordFrom([]), startedAt: 61_000 });
    expect(await text()).toContain('o3q_queue_time_seconds_count{model="o3"} 0\n');
  });

  it.each([
    [{ status: 'failed', code: 'deadline_passed', at: 5000 }, {}, 1],
    [{ status: 'completed', code: '', at: 5000 }, { need: { by: 4000 } }, 1],
    [{ status: 'completed', code: '', at: 5000 }, { need: { by: 5000 } }, 0],
    [{ status: 'cancelled', code: '', at: 5000 }, { need: { by: 4000 } }, 0],
  ] as const)('counts the end %j of a job with %j as late: %s', async (end, opts, late) => {
    const { observer, text } = observerOf(opts);
    observer.onEnd?.(end);
    const told = await text();
    expect(told).toContain(`o3q_deadline_missed_total{model="o3"} ${late}\n`);
    expect(told).toContain(`o3q_jobs_total{model="o3",status="${end.status}",code="${end.code}"} 1\n`);
  });
});
