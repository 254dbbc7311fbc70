/** Create requests that may be under way at once in this process. */
export interface CreateSlots {
  /**
   * Waits for a slot, in the order of asking, but not past the end of the signal.
   * @returns how to give it back; undefined when the signal ended first.
   */
  take(signal: AbortSignal): Promise<(() => void) | undefined>;
}

/**
 * Whatever is under way when the process is killed is uncertain. Without a limit that could be hundreds: a burst of jobs sends all of its
 * creates together, and each then takes as long as all of them.
 */
export function createCreateSlots(slots: number): CreateSlots {
  let free = slots;
  const waiting = new Set<() => void>();

  const giveBack = (): void => {
    const [next] = waiting;
    if (next === undefined) free += 1;
    else {
      waiting.delete(next);
      next();
    }
  };

  return {
    async take(signal) {
      if (signal.aborted) return undefined;
      if (free > 0) {
        free -= 1;
        return giveBack;
      }
      return new Promise((resolve) => {
        const go = (): void => {
          signal.removeEventListener('abort', giveUp);
          resolve(giveBack);
        };
        const giveUp = (): void => {
          waiting.delete(go);
          resolve(undefined);
        };
        waiting.add(go);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
