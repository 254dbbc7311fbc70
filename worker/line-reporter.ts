import type { Line } from '../src/queue/line.ts';
import type { Taken } from '../src/quota/quota.ts';
import type { Source } from './granting.ts';
import { createLineSpeed } from './line-speed.ts';
import { waitingReason } from './waiting-reason.ts';

/** Tells who asks why the line stands and how fast it moves, about once a second. */
export interface LineReporter {
  /** Nobody waits: what was seen before says nothing of how fast the line can move. */
  empty(): void;
  /** All workers have as many jobs as they may hold. */
  noWorker(source: Source): Promise<void>;
  /** @param wait undefined: nothing stands against the next one. */
  moved(source: Source, wait: Taken['wait']): Promise<void>;
}

const EVERY_MS = 1000;

export function createLineReporter(line: Line): LineReporter {
  const speed = createLineSpeed();
  let last = { reason: '', at: 0 };
  const tell = async (reason: string, notBefore: number, { quota, limits }: Source): Promise<void> => {
    const at = Date.now();
    if (at - last.at < EVERY_MS && (reason === '' || reason === last.reason)) return;
    last = { reason, at };
    const [starts, state] = await Promise.all([line.starts(), quota.state()]);
    speed.observe(starts);
    const { startsPerSecond, basis } = speed.now(limits, state);
    await line.tell({ reason, startsPerSecond, basis, durationMs: state.meanDurationMs, notBefore });
  };
  return {
    empty: () => speed.reset(),
    noWorker: (source) => tell('a free worker', 0, source),
    async moved(source, wait) {
      if (wait === undefined) return tell('', 0, source);
      const until = Date.now() + wait.milliseconds;
      const reason = waitingReason({ reason: wait.reason, until }, source.limits, source.name);
      return tell(reason, stands(wait) ? until : 0, source);
    },
  };
}

/** Whether nothing starts until then, rather than one after the other. */
function stands({ reason }: NonNullable<Taken['wait']>): boolean {
  return reason === 'rate_limited' || reason === 'quota_exhausted' || reason === 'upstream_down';
}
