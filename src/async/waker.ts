/** Waker is a pause that can be cut short. */
export interface Waker {
  /** Waits so many milliseconds. @returns whether `wake` has cut the wait short. */
  wait(milliseconds: number): Promise<boolean>;
  /** Ends the wait; while there is none, ends the next one at once. */
  wake(): void;
}

/** createWaker makes a Waker. @param signal ends every wait. */
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

/** pause waits so many milliseconds, or until the signal ends it. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await createWaker(signal).wait(milliseconds);
}
