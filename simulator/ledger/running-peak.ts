import { endMs, isFinished, type Run } from '../response/run.ts';

/**
 * RunningPeak records the largest number of responses that ran at once. It looks for a new peak when a
 * response begins, because the number of running responses grows at no other time.
 */
export type RunningPeak = {
  /** Call this when a response has just been created. */
  follow(run: Run): void;
  most(): number;
  mostByModel(): Record<string, number>;
  /** Starts a new peak with the responses that run now. */
  reset(): void;
};

type Tally = { running: number; most: number };
type End = { readonly atMs: number; readonly id: string };

export function createRunningPeak(now: () => number): RunningPeak {
  const overall: Tally = { running: 0, most: 0 };
  const byModel = new Map<string, Tally>();
  /**
   * The model of each running response, by the response's id. A map of the responses themselves would keep
   * cancelled ones in memory.
   */
  const running = new Map<string, string>();
  /**
   * A binary heap with the nearest end first. A plain list of ten thousand would have to be sorted at every
   * create.
   */
  const ends: End[] = [];

  const talliesOf = (model: string): Tally[] => {
    const own = byModel.get(model) ?? { running: 0, most: 0 };
    byModel.set(model, own);
    return [overall, own];
  };
  const leave = (id: string): void => {
    const model = running.get(id);
    if (model === undefined) return;
    running.delete(id);
    for (const tally of talliesOf(model)) tally.running -= 1;
  };
  const settle = (nowMs: number): void => {
    for (let end = ends[0]; end && end.atMs <= nowMs; end = ends[0]) {
      popNearest(ends);
      leave(end.id);
    }
  };
  return {
    follow: (run) => {
      settle(now());
      const { id, request } = run.script;
      running.set(id, request.model.id);
      for (const tally of talliesOf(request.model.id)) {
        tally.running += 1;
        tally.most = Math.max(tally.most, tally.running);
      }
      const end = run.script.createdAtMs + endMs(run);
      if (Number.isFinite(end)) push(ends, { atMs: end, id });
      // A cancel ends the response sooner, unless the response completes in spite of the cancel.
      run.watchers.add(() => {
        if (isFinished(run, now())) leave(id);
      });
    },
    most: () => overall.most,
    mostByModel: () => Object.fromEntries([...byModel].map(([model, { most }]) => [model, most])),
    reset: () => {
      settle(now());
      overall.most = overall.running;
      for (const tally of byModel.values()) tally.most = tally.running;
    },
  };
}

function push(ends: End[], end: End): void {
  let index = ends.length;
  while (index > 0) {
    const parentIndex = (index - 1) >> 1;
    const parent = ends[parentIndex];
    if (!parent || parent.atMs <= end.atMs) break;
    ends[index] = parent;
    index = parentIndex;
  }
  ends[index] = end;
}

function popNearest(ends: End[]): void {
  const last = ends.pop();
  if (!last || ends.length === 0) return;
  let index = 0;
  for (;;) {
    const leftIndex = 2 * index + 1;
    const left = ends[leftIndex];
    const right = ends[leftIndex + 1];
    const nearer = left && right && right.atMs < left.atMs ? right : left;
    if (!nearer || nearer.atMs >= last.atMs) break;
    ends[index] = nearer;
    index = nearer === right ? leftIndex + 1 : leftIndex;
  }
  ends[index] = last;
}
