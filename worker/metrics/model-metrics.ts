import { Counter, Histogram } from 'prom-client';
import { FAILURE_CODES } from '../../src/errors/failure.ts';
import { WINDOW_MS } from '../../src/job/completion-window.ts';
import { CANCELLED, type JobEnd, type ProcessMetrics } from '../../src/metrics/process-metrics.ts';
import type { UsageSpent } from '../../src/run/record.ts';
import { usdFrom } from '../../src/usage/usd.ts';
import type { Outcome } from '../attempt/outcome.ts';
import type { PurchaseEvent } from '../attempt/purchase/purchase.ts';

/** ModelMetrics counts what one worker does with the jobs of one model. */
export interface ModelMetrics {
  purchase(what: PurchaseEvent): void;
  /** Counts the end of an attempt; of an answer its time, and its window. */
  outcome(outcome: Outcome): void;
  /**
   * Counts the end of a job.
   *
   * @param isLate whether the job had no answer at its `deadline` or its `needed_by`.
   */
  ended(end: JobEnd, isLate: boolean): void;
  /** Counts what a response has used. @param isFree whether it has cost nothing, because it was simulated. */
  spent(spent: UsageSpent, isFree: boolean): void;
  /** Takes how long a job has waited for the first attempt of its run, in milliseconds. */
  queued(ms: number): void;
  /** Takes the time from a purchase to the first part of the answer that was streamed, in milliseconds. */
  firstToken(ms: number): void;
  /** Counts a create that was answered 429. */
  throttled(): void;
}

const OUTCOMES = [
  'completed',
  'failed',
  'cancelled',
  'retry',
  'held',
  'released',
  'postponed',
  'lost',
] as const;

const POSSIBLE_ENDS: readonly JobEnd[] = [
  { status: 'completed', code: '' },
  CANCELLED,
  ...Object.keys(FAILURE_CODES).map((code): JobEnd => ({ status: 'failed', code })),
];

/** From a second to the longest completion window, in seconds. */
const LONG_BUCKETS = [1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800];
const FIRST_TOKEN_BUCKETS = [0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];

/** createModelMetrics registers the metrics of jobs. @returns a function that makes those of one model. */
export function createModelMetrics(shared: ProcessMetrics): (model: string) => ModelMetrics {
  const registers = [shared.registry];
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, labelNames: ['model'], buckets, registers });

  const purchases: Record<PurchaseEvent, Counter<'model'>> = {
    bought: counter('o3q_purchases_total', 'Responses bought from the upstream', ['model']),
    adopted: counter(
      'o3q_adoptions_total',
      'Responses of an earlier attempt that were adopted instead of bought again',
      ['model'],
    ),
    uncertain: counter(
      'o3q_uncertain_purchases_total',
      'Create requests whose outcome is unknown; each may be a purchase',
      ['model'],
    ),
  };
  const attempts = counter('o3q_attempts_total', 'Ended attempts, by outcome', ['model', 'outcome']);
  const throttled = counter('o3q_throttled_total', 'Create requests that the upstream throttled (429)', [
    'model',
  ]);
  const tokens = counter(
    'o3q_tokens_total',
    'Tokens that the upstream reported for the responses of jobs. Each is of one type, so that the sum is right: ' +
      'input without cached_input and cache_write, output without reasoning',
    ['model', 'type'],
  );
  const cost = counter(
    'o3q_cost_usd_total',
    'US dollars that the responses of jobs have cost, by the usage that the upstream reported; no estimates',
    ['model'],
  );
  const saved = counter(
    'o3q_saved_usd_total',
    'US dollars that the discounts of completion windows have saved on completed jobs',
    ['model'],
  );
  const windows = counter(
    'o3q_window_total',
    'Answers that were bought within a completion window, by whether they came before its end (met)',
    ['model', 'window', 'met'],
  );
  const late = counter(
    'o3q_deadline_missed_total',
    'Jobs that had no answer at their deadline or their needed_by',
    ['model'],
  );
  const queueTime = histogram(
    'o3q_queue_time_seconds',
    'From the enqueue of a job, or the end of its delay, or its retry by hand, to the start of its first attempt',
    LONG_BUCKETS,
  );
  const answer = histogram(
    'o3q_answer_seconds',
    'From the purchase of a response to its end, of responses that answered their job',
    LONG_BUCKETS,
  );
  const firstToken = histogram(
    'o3q_first_token_seconds',
    'From the purchase of a streamed response to its first text, reasoning or argument of a call',
    FIRST_TOKEN_BUCKETS,
  );

  return (model) => {
    // Every counter begins at 0: see `endsOf`.
    for (const each of [...Object.values(purchases), throttled, cost, saved, late]) each.inc({ model }, 0);
    for (const outcome of OUTCOMES) attempts.inc({ model, outcome }, 0);
    for (const window of Object.keys(WINDOW_MS))
      for (const met of ['true', 'false']) windows.inc({ model, window, met }, 0);
    for (const each of [queueTime, answer, firstToken]) each.zero({ model });
    const countTokens = (type: string, count: number): void => tokens.inc({ model, type }, countOf(count));
    for (const type of ['input', 'cached_input', 'cache_write', 'output', 'reasoning']) countTokens(type, 0);
    const countEnd = shared.endsOf(model, POSSIBLE_ENDS);
    return {
      purchase: (what) => purchases[what].inc({ model }),
      outcome(outcome) {
        attempts.inc({ model, outcome: outcome.kind });
        if (outcome.kind !== 'completed') return;
        saved.inc({ model }, countOf(outcome.summary.saved_usd ?? 0));
        const { answered } = outcome;
        if (answered === undefined) return;
        answer.observe({ model }, answered.tookMs / 1000);
        const { window } = answered;
        if (window !== undefined) windows.inc({ model, window: window.name, met: String(window.isMet) });
      },
      ended(end, isLate) {
        countEnd(end);
        if (isLate) late.inc({ model });
      },
      spent({ usage, cost: price }, isFree) {
        const { input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens } = usage;
        countTokens('input', input_tokens - cached_tokens - cache_write_tokens);
        countTokens('cached_input', cached_tokens);
        countTokens('cache_write', cache_write_tokens);
        countTokens('output', output_tokens - reasoning_tokens);
        countTokens('reasoning', reasoning_tokens);
        cost.inc({ model }, isFree ? 0 : countOf(usdFrom(price?.nano) ?? 0));
      },
      throttled: () => throttled.inc({ model }),
      queued: (ms) => queueTime.observe({ model }, ms / 1000),
      firstToken: (ms) => firstToken.observe({ model }, ms / 1000),
    };
  };
}

/** Other servers may report any number, and a counter takes only what makes it larger. */
function countOf(value: number): number {
  return Number.isFinite(value) && value > 0 ? value : 0;
}
