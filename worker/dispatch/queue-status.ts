import type { FairQueue } from '../../src/fair-queue/fair-queue.ts';
import type { QuotaLimits, QuotaWait } from '../../src/quota/quota.ts';
import type { Source } from '../reservation/reserve.ts';
import { counted, createThroughput } from './throughput.ts';

/**
 * QueueStatusReporter writes the status of a fair queue: about once a second, and at once when there is a new
 * obstacle.
 */
export interface QueueStatusReporter {
  /** Call this when the queue is empty. Earlier measurements then do not say how fast it can move. */
  empty(): void;
  /** Call this when all workers hold as many jobs as they may. */
  noWorker(source: Source): void;
  /** @param wait undefined: nothing prevents the next start. */
  moved(source: Source, wait: QuotaWait | undefined): void;
}

interface Obstacle {
  /** Identifies the obstacle: two obstacles of one kind count as the same. */
  kind: string;
  /** What users read as `waiting_for`. */
  reason: string;
  /** The time before which no job starts, in Unix milliseconds; 0: unknown. */
  notBefore: number;
}

const EVERY_MS = 1000;
const NOTHING: Obstacle = { kind: '', reason: '', notBefore: 0 };
const NO_WORKER: Obstacle = { kind: 'no worker', reason: 'a free worker', notBefore: 0 };

export function createQueueStatusReporter(
  fairQueue: FairQueue,
  onError: (error: Error) => void,
): QueueStatusReporter {
  const throughput = createThroughput();
  let last = { kind: '', at: 0 };
  const write = async ({ reason, notBefore }: Obstacle, { quota, limits }: Source): Promise<void> => {
    const [starts, snapshot] = await Promise.all([fairQueue.starts(), quota.snapshot()]);
    throughput.observe(starts);
    const { startsPerSecond, basis } = throughput.now(limits, snapshot);
    const durationMs = snapshot.meanDurationMs;
    await fairQueue.reportStatus({ reason, startsPerSecond, basis, durationMs, notBefore });
  };
  const report = (obstacle: Obstacle, source: Source): void => {
    const at = Date.now();
    const isNew = obstacle.kind !== '' && obstacle.kind !== last.kind;
    if (at - last.at < EVERY_MS && !isNew) return;
    last = { kind: obstacle.kind, at };
    write(obstacle, source).catch(onError);
  };
  return {
    empty: () => throughput.reset(),
    noWorker: (source) => report(NO_WORKER, source),
    moved: (source, wait) => report(wait === undefined ? NOTHING : obstacleOf(wait, source), source),
  };
}

function obstacleOf({ reason, milliseconds }: QuotaWait, { limits, name }: Source): Obstacle {
  const until = Date.now() + milliseconds;
  // These reasons stop every start until their end. The others let jobs start one after the other.
  const isStop = reason === 'rate_limited' || reason === 'quota_exhausted' || reason === 'upstream_down';
  return {
    kind: `${reason} of ${name}`,
    reason: waitingReason({ reason, until }, limits, name),
    notBefore: isStop ? until : 0,
  };
}

function waitingReason(
  { reason, until }: { reason: QuotaWait['reason']; until: number },
  { requestsPerMinute, tokensPerMinute, maxInFlight }: QuotaLimits,
  upstreamModel: string,
): string {
  const when = new Date(until).toISOString();
  const account = `the upstream account of ${upstreamModel}`;
  switch (reason) {
    case 'requests_per_minute':
      return `rate limit of ${upstreamModel} (${perMinute(requestsPerMinute, 'request')})`;
    case 'tokens_per_minute':
      return `rate limit of ${upstreamModel} (${perMinute(tokensPerMinute, 'token')})`;
    case 'max_in_flight':
      return `${upstreamModel} is at its limit of ${counted(maxInFlight, 'response')} in flight`;
    case 'rate_limited':
      return `rate limit until ${when}`;
    case 'quota_exhausted':
      return `quota exhausted: ${account} has no money left; one job probes at ${when}`;
    case 'upstream_down':
      return `the upstream is unreachable or overloaded; one job tries again at ${when}`;
    case 'gone':
      return `${upstreamModel} no longer exists at the upstream`;
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
