/** So many things may be in flight at once. */
export interface Semaphore {
  readonly inFlight: number;
  readonly isFull: boolean;
  /** Resolves when something has left a full window. */
  someLeft(): Promise<void>;
  /** Resolves when nothing is in it any more. */
  emptied(): Promise<void>;
  enter(): void;
  leave(): void;
}

/** @param signal ends all waiting, with its reason. */
export function createSemaphore(size: number, signal: AbortSignal): Semaphore {
  let inFlight = 0;
  let listeners: (() => void)[] = [];
  const becomes = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) {
      await new Promise<void>((resolve) => listeners.push(resolve));
      signal.throwIfAborted();
    }
  };
  const wake = (): void => {
    const told = listeners;
    listeners = [];
    for (const listener of told) listener();
  };
  signal.addEventListener('abort', wake, { once: true });
  return {
    get inFlight() {
      return inFlight;
    },
    get isFull() {
      return inFlight >= size;
    },
    someLeft: () => becomes(() => inFlight < size),
    emptied: () => becomes(() => inFlight === 0),
    enter: () => {
      inFlight += 1;
    },
    leave: () => {
      inFlight -= 1;
      wake();
    },
  };
}
