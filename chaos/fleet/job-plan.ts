import type { JobRequest } from '../../src/job/request.ts';
import type { Random } from './random.ts';

/** PlannedJob is a job before it is enqueued. */
export interface PlannedJob {
  name: string;
  /** When the job is enqueued, in milliseconds after the start. */
  atMs: number;
  request: JobRequest;
  /**
   * When the job is cancelled, in milliseconds after the answer to the request that enqueued it; undefined:
   * it is not cancelled.
   */
  cancelAfterMs: number | undefined;
}

/** FaultPlan is what a job with a fault needs, so that it ends within seconds. */
interface FaultPlan {
  metadata: Record<string, string>;
  timeout_ms?: number;
}

/** A short time limit, in milliseconds, for a fault that would otherwise keep a job for a long time. */
const SHORT_TIMEOUT_MS = 4000;
const ONCE = { sim_times: '1' };

/** FAULT_PLANS has every fault of the simulator by its name; a unit test keeps the two lists equal. */
export const FAULT_PLANS: Readonly<Record<string, FaultPlan>> = {
  400: { metadata: {} },
  '200_error': { metadata: {} },
  refuse: { metadata: { ...ONCE, sim_refusal: '{"status": 425, "text": ""}' } },
  '200_html': { metadata: ONCE },
  '400_billing': { metadata: ONCE },
  '400_busy': { metadata: ONCE },
  401: { metadata: ONCE },
  '401_organization': { metadata: ONCE },
  402: { metadata: ONCE },
  '403_html': { metadata: ONCE },
  '404_path': { metadata: ONCE },
  '422_detail': { metadata: {} },
  '429_hour': { metadata: ONCE },
  '429_large': { metadata: {} },
  '429_zero': { metadata: ONCE },
  498: { metadata: ONCE },
  429: { metadata: { ...ONCE, sim_retry_after_ms: '400' } },
  '429_bare': { metadata: ONCE },
  '429_quota': { metadata: {} },
  500: { metadata: ONCE },
  '502_html': { metadata: ONCE },
  503: { metadata: { sim_times: '2' } },
  reset: { metadata: ONCE },
  hang: { metadata: ONCE, timeout_ms: SHORT_TIMEOUT_MS },
  reset_created: { metadata: ONCE },
  hang_created: { metadata: ONCE, timeout_ms: SHORT_TIMEOUT_MS },
  cut: { metadata: { sim_connections: '10' } },
  eof: { metadata: { sim_connections: '3' } },
  mute: { metadata: {}, timeout_ms: 2 * SHORT_TIMEOUT_MS },
  no_opening: { metadata: {} },
  no_indexes: { metadata: {} },
  no_types: { metadata: {} },
  no_numbers: { metadata: {} },
  no_deltas: { metadata: {} },
  no_end: { metadata: {} },
  end_bare: { metadata: {} },
  end_in_progress: { metadata: {} },
  done: { metadata: {} },
  twice: { metadata: {} },
  crlf: { metadata: {} },
  other_ids: { metadata: {} },
  noise: { metadata: {} },
  comments: { metadata: {} },
  plain_text: { metadata: {} },
  stuck_queued: { metadata: {}, timeout_ms: SHORT_TIMEOUT_MS },
  // Without any event the worker would not learn the id of the response that it must stop.
  stall: { metadata: { sim_events: '2' }, timeout_ms: SHORT_TIMEOUT_MS },
  failed: { metadata: ONCE },
  error_event: { metadata: ONCE },
  error_event_flat: { metadata: ONCE },
  incomplete: { metadata: {} },
  usage_null: { metadata: {} },
  usage_empty: { metadata: {} },
  refusal: { metadata: {} },
  output_empty: { metadata: {} },
  output_half: { metadata: {} },
  end: { metadata: { sim_end: '{"set": {"status": null}, "unset": ["usage"]}' } },
  late_completion: { metadata: {} },
  gone: { metadata: ONCE },
  poll_401: { metadata: { sim_polls: '2' } },
  poll_404: { metadata: { sim_polls: '2' } },
  poll_429: { metadata: { sim_polls: '2' } },
  poll_500: { metadata: { sim_polls: '2' } },
  poll_html: { metadata: { sim_polls: '2' } },
  poll_refuse: { metadata: { sim_polls: '2', sim_refusal: '{"status": 410}' } },
  window_refused: { metadata: {} },
  window_ignored: { metadata: {} },
  window_missed: { metadata: {} },
  window_early: { metadata: {} },
  webhook_lost: { metadata: {} },
  webhook_twice: { metadata: {} },
  webhook_late: { metadata: {} },
  webhook_forged: { metadata: {} },
};

/**
 * Faults that no storm has. Most of them affect what all jobs share, such as the account's money: after such
 * a fault all jobs rightly wait for a probe. After `no_opening` no worker knows the id of the response. No
 * worker can adopt such a response, so a kill costs another purchase. The faults of a completion window do
 * nothing to jobs without one.
 */
const NOT_IN_STORMS = new Set([
  ...[
    '429_quota',
    '400_billing',
    '402',
    '401',
    '401_organization',
    '403_html',
    '404_path',
    '200_html',
    '429_hour',
    'no_opening',
    'window_refused',
    'window_ignored',
    'window_missed',
    'window_early',
  ],
]);

/** jobName makes names that sort in the order of enqueueing. */
export function jobName(index: number): string {
  return `job-${String(index).padStart(4, '0')}`;
}

/**
 * planCalmJobs plans jobs without faults, with think times between two limits, all to be enqueued at once.
 */
export function planCalmJobs(
  random: Random,
  count: number,
  thinkMs: { least: number; most: number },
): PlannedJob[] {
  return Array.from({ length: count }, (_, index) => ({
    name: jobName(index),
    atMs: 0,
    request: {
      question: `${jobName(index)} thinks for a while`,
      stream: random.chance(0.5),
      metadata: { sim_think_ms: String(random.between(thinkMs.least, thinkMs.most)), sim_deltas: '5' },
    },
    cancelAfterMs: undefined,
  }));
}

/**
 * planMixedJobs plans jobs of every kind, spread over the time: about half have a fault, a fifth are
 * cancelled.
 */
export function planMixedJobs(
  random: Random,
  count: number,
  { durationMs, webhooks }: { durationMs: number; webhooks: boolean },
): PlannedJob[] {
  // Without webhooks, the simulator refuses the webhook faults.
  const faults = Object.keys(FAULT_PLANS).filter(
    (fault) => (webhooks || !fault.startsWith('webhook_')) && !NOT_IN_STORMS.has(fault),
  );
  return Array.from({ length: count }, (_, index) => {
    const fault = random.chance(0.5) ? random.pick(faults) : undefined;
    const { metadata, timeout_ms } = (fault !== undefined && FAULT_PLANS[fault]) || { metadata: {} };
    const thinkMs = random.chance(0.3) ? random.between(50, 500) : random.between(1000, 8000);
    return {
      name: jobName(index),
      atMs: random.between(0, durationMs),
      request: {
        question: `${jobName(index)} ${fault ?? 'as it should be'}`,
        stream: random.chance(0.5),
        metadata: {
          ...(fault !== undefined && { sim: fault }),
          ...metadata,
          sim_think_ms: String(thinkMs),
          sim_deltas: String(random.between(1, 40)),
        },
        ...(timeout_ms !== undefined && { timeout_ms }),
        ...(random.chance(0.1) && { priority: random.between(1, 10) }),
        ...(random.chance(0.1) && { delay_ms: random.between(100, 4000) }),
      },
      cancelAfterMs: random.chance(0.2) ? random.between(0, 9000) : undefined,
    };
  });
}
