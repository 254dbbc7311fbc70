/** Semaphore limits how many operations run at once: each operation holds a slot. */
export interface Semaphore {
  readonly inUse: number;
  readonly isFull: boolean;
  /**
   * Waits for a slot, first come first served, until the signal aborts.
   * @returns true with a slot, which the caller must release; false when the signal aborted first.
   */
  acquire(signal: AbortSignal): Promise<boolean>;
  release(): void;
  /** Resolves when no slot is in use, or when the signal aborts. */
  idle(signal: AbortSignal): Promise<void>;
}

export function createSemaphore(slots: number): Semaphore {
  let inUse = 0;
  const acquiring = new Set<() => void>();
  const idling = new Set<() => void>();

  /** Resolves to true when `waiting` gets a slot, to false when the signal aborts first. */
  const wait = (waiting: Set<() => void>, signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(true);
      };
      const giveUp = (): void => {
        waiting.delete(go);
        resolve(false);
      };
      waiting.add(go);
      signal.addEventListener('abort', giveUp, { once: true });
    });

  return {
    get inUse() {
      return inUse;
    },
    get isFull() {
      return inUse >= slots;
    },
    async acquire(signal) {
      if (signal.aborted) return false;
      if (inUse >= slots) return wait(acquiring, signal);
      inUse += 1;
      return true;
    },
    release() {
      const [next] = acquiring;
      if (next !== undefined) {
        // The slot goes directly to the operation that has waited longest, so that a new call of `acquire`
        // cannot overtake it.
        acquiring.delete(next);
        next();
        return;
      }
      inUse -= 1;
      if (inUse > 0) return;
      for (const go of idling) go();
      idling.clear();
    },
    async idle(signal) {
      if (inUse > 0 && !signal.aborted) await wait(idling, signal);
    },
  };
}
