/** In milliseconds. A cancelled attempt mostly ends within the first; one that waits for its response's id takes some seconds. */
const WAITS_MS = [250, 500, 1000, 2000, 4000, 8000];

export interface Nudges {
  /**
   * Begins to nudge; at once is the caller's own part.
   * @param cancel one more try; whether the job is still being cancelled.
   */
  begin(id: string, cancel: () => Promise<boolean>): void;
  close(): void;
}

/**
 * Cancels again what was active when it was cancelled. Its worker may have been giving it back at that very moment, for its
 * next attempt or to stop: then nobody is left to see the mark, and the job would stand there until its next start.
 */
export function createNudges(): Nudges {
  const timers = new Map<string, NodeJS.Timeout>();
  let closed = false;

  const nudgeLater = (id: string, cancel: () => Promise<boolean>, turn: number): void => {
    const waitMs = WAITS_MS[turn];
    if (waitMs === undefined || closed) return;
    const timer = setTimeout(() => {
      timers.delete(id);
      cancel().then(
        (cancelling) => cancelling && nudgeLater(id, cancel, turn + 1),
        // Redis is away or the job is gone. The mark is in Redis: the worker's own look at it is the next net.
        () => {},
      );
    }, waitMs);
    timer.unref();
    timers.set(id, timer);
  };

  return {
    begin(id, cancel) {
      if (!timers.has(id)) nudgeLater(id, cancel, 0);
    },
    close() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}
