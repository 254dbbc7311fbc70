import type { FairQueue } from '../../src/fair-queue/fair-queue.ts';
import type { QuotaWait } from '../../src/quota/quota.ts';
import type { Source } from '../reservation/reserve.ts';
import { createThroughput } from './throughput.ts';
import { waitingReason } from './waiting-reason.ts';

/** Tells who asks why the line stands and how fast it moves, about once a second, and at once when something else stands against it. */
export interface QueueStatusReporter {
  /** Nobody waits: what was seen before says nothing of how fast the line can move. */
  empty(): void;
  /** All workers have as many jobs as they may hold. */
  noWorker(source: Source): void;
  /** @param wait undefined: nothing stands against the next one. */
  moved(source: Source, wait: QuotaWait | undefined): void;
}

interface Obstacle {
  kind: string;
  /** For who asks. */
  reason: string;
  /** Nothing starts before, in milliseconds; 0: that is not said. */
  notBefore: number;
}

const EVERY_MS = 1000;
const NOTHING: Obstacle = { kind: '', reason: '', notBefore: 0 };
const NO_WORKER: Obstacle = { kind: 'no worker', reason: 'a free worker', notBefore: 0 };

export function createQueueStatusReporter(
  line: FairQueue,
  onError: (error: Error) => void,
): QueueStatusReporter {
  const speed = createThroughput();
  let last = { kind: '', at: 0 };
  const tell = async ({ reason, notBefore }: Obstacle, { quota, limits }: Source): Promise<void> => {
    const [starts, snapshot] = await Promise.all([line.starts(), quota.snapshot()]);
    speed.observe(starts);
    const { startsPerSecond, basis } = speed.now(limits, snapshot);
    await line.reportStatus({
      reason,
      startsPerSecond,
      basis,
      durationMs: snapshot.meanDurationMs,
      notBefore,
    });
  };
  const report = (obstacle: Obstacle, source: Source): void => {
    const at = Date.now();
    const isNew = obstacle.kind !== '' && obstacle.kind !== last.kind;
    if (at - last.at < EVERY_MS && !isNew) return;
    last = { kind: obstacle.kind, at };
    tell(obstacle, source).catch(onError);
  };
  return {
    empty: () => speed.reset(),
    noWorker: (source) => report(NO_WORKER, source),
    moved: (source, wait) => report(wait === undefined ? NOTHING : obstacleOf(wait, source), source),
  };
}

function obstacleOf({ reason, milliseconds }: QuotaWait, { limits, name }: Source): Obstacle {
  const until = Date.now() + milliseconds;
  // Whether nothing starts until then, rather than one after the other.
  const stands = reason === 'rate_limited' || reason === 'quota_exhausted' || reason === 'upstream_down';
  return {
    kind: `${reason} of ${name}`,
    reason: waitingReason({ reason, until }, limits, name),
    notBefore: stands ? until : 0,
  };
}
