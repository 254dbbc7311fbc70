/** Waker is a pause that can be cut short. */
export interface Waker {
  /** Waits the given number of milliseconds. @returns whether `wake` has cut the wait short. */
  wait(milliseconds: number): Promise<boolean>;
  /** Ends the current wait. When there is no wait, the next wait ends at once. */
  wake(): void;
}

/** createWaker makes a Waker. @param signal ends every wait when it aborts. */
export function createWaker(signal: AbortSignal): Waker {
  let isWoken = false;
  let end: (() => void) | undefined;
  return {
    async wait(milliseconds) {
      if (!isWoken && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, milliseconds);
          function done(): void {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            end = undefined;
            resolve();
          }
          end = done;
          signal.addEventListener('abort', done, { once: true });
        });
      }
      const wasWoken = isWoken;
      isWoken = false;
      return wasWoken;
    },
    wake() {
      isWoken = true;
      end?.();
    },
  };
}
