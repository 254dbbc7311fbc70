import { type BoardLimits, NO_BOARD_LIMITS } from '../../src/fair-queue/board-limits.ts';
import type { FairQueue } from '../../src/fair-queue/fair-queue.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import { goneReason } from '../../src/models/status.ts';
import type { QuotaWait } from '../../src/quota/quota.ts';
import type { Source } from '../reservation/reserve.ts';
import { counted, createThroughput } from './throughput.ts';

/**
 * QueueStatusReporter writes the status of a fair queue about once a second, and at once when a new obstacle
 * appears.
 */
export interface QueueStatusReporter {
  /** Call this when the queue is empty. Earlier measurements then do not say how fast the queue can move. */
  empty(): void;
  /** Call this when all workers hold as many jobs as they may. */
  noWorker(source: Source): void;
  /**
   * Call this when Bull Board's settings allow no start. Views of jobs show those settings even without a
   * status.
   */
  held(source: Source, board: BoardLimits): void;
  /** @param wait undefined: nothing prevents the next start. */
  moved(source: Source, wait: QuotaWait | undefined, board: BoardLimits): void;
}

interface Obstacle {
  /** Identifies the obstacle: two obstacles of one kind count as the same. */
  kind: string;
  /** What users read as `waiting_for`. @param words the upstream's own words; '' for none. */
  reason: (words: string) => string;
  /** When the next job can start at the earliest, in Unix milliseconds; 0: unknown. */
  notBefore: number;
}

const EVERY_MS = 1000;
const NOTHING: Obstacle = { kind: '', reason: () => '', notBefore: 0 };
const NO_WORKER: Obstacle = { kind: 'no worker', reason: () => 'a free worker', notBefore: 0 };

/**
 * @param now returns the time of Redis, in Unix milliseconds.
 */
export function createQueueStatusReporter(
  queue: Pick<ModelQueue, 'model' | 'upstreamModels'>,
  fairQueue: FairQueue,
  now: () => number,
  onError: (error: Error) => void,
): QueueStatusReporter {
  const throughput = createThroughput();
  let last = { kind: '', at: Number.NEGATIVE_INFINITY };
  const write = async (
    { reason, notBefore }: Obstacle,
    { quota, limits }: Source,
    board: BoardLimits,
  ): Promise<void> => {
    const [starts, snapshot] = await Promise.all([fairQueue.starts(), quota.snapshot()]);
    throughput.observe(starts);
    const { startsPerSecond, basis } = throughput.now(limits, snapshot, board);
    const durationMs = snapshot.meanDurationMs;
    const words = snapshot.pauses[0]?.words ?? '';
    await fairQueue.reportStatus({ reason: reason(words), startsPerSecond, basis, durationMs, notBefore });
  };
  const report = (obstacle: Obstacle, source: Source, board = NO_BOARD_LIMITS): void => {
    const at = performance.now();
    const isNew = obstacle.kind !== '' && obstacle.kind !== last.kind;
    if (at - last.at < EVERY_MS && !isNew) return;
    last = { kind: obstacle.kind, at };
    write(obstacle, source, board).catch(onError);
  };
  return {
    empty: () => throughput.reset(),
    noWorker: (source) => report(NO_WORKER, source),
    held: (source, board) => report(NOTHING, source, board),
    moved: (source, wait, board) =>
      report(wait === undefined ? NOTHING : obstacleOf(wait, source, queue, now()), source, board),
  };
}

/** Under these limits jobs still start, one after the other. Any other reason pauses the model. */
const LIMITS: ReadonlySet<QuotaWait['reason']> = new Set([
  'requests_per_minute',
  'tokens_per_minute',
  'max_in_flight',
  'max_in_flight_windowed',
]);

type Names = Pick<ModelQueue, 'model' | 'upstreamModels'>;

function obstacleOf(
  { reason, milliseconds }: QuotaWait,
  source: Source,
  names: Names,
  now: number,
): Obstacle {
  const until = now + milliseconds;
  return {
    kind: `${reason} of ${source.name}`,
    reason: (words) => waitingReason({ reason, until, words, names }, source),
    notBefore: LIMITS.has(reason) ? 0 : until,
  };
}

function waitingReason(
  {
    reason,
    until,
    words,
    names: { model, upstreamModels },
  }: { reason: QuotaWait['reason']; until: number; words: string; names: Names },
  { limits: { requestsPerMinute, tokensPerMinute, maxInFlight, maxInFlightWindowed }, name }: Source,
): string {
  const when = new Date(until).toISOString();
  const said = words === '' ? '' : ` (${words})`;
  switch (reason) {
    case 'requests_per_minute':
      return `rate limit of ${name} (${perMinute(requestsPerMinute, 'request')})`;
    case 'tokens_per_minute':
      return `rate limit of ${name} (${perMinute(tokensPerMinute, 'token')})`;
    case 'max_in_flight':
      return `${name} is at its limit of ${counted(maxInFlight, 'response')} in flight`;
    case 'max_in_flight_windowed':
      return `${name} is at its limit of ${counted(maxInFlightWindowed, 'response')} within a completion window`;
    case 'rate_limited':
      return `rate limit until ${when}`;
    case 'quota_exhausted':
      return `quota exhausted: the upstream account of ${name} has no money left; one job probes at ${when}${said}`;
    case 'credentials_refused':
      return `credentials refused: the upstream of ${name} accepts neither key nor account; one job probes at ${when}${said}`;
    case 'wrong_address':
      return `the right address: what answers for ${name} is not the API; one job probes at ${when}${said}`;
    case 'upstream_down':
      return `the upstream is unreachable or overloaded; one job tries again at ${when}${said}`;
    case 'gone':
      return goneReason(model, upstreamModels);
    default: {
      const never: never = reason;
      throw new Error(`unknown reason ${String(never)}`);
    }
  }
}

/** @param limit as configured; undefined: the upstream has advertised it. */
function perMinute(limit: number | undefined, unit: string): string {
  return limit === undefined
    ? `${unit}s per minute, set by the upstream`
    : `${counted(limit, unit)} per minute`;
}
