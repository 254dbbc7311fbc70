/** Pauses that somebody may cut short. */
export interface Waker {
  /** @returns whether it was cut short by `wake`. */
  wait(milliseconds: number): Promise<boolean>;
  /** Ends the pause; while there is none, the next one at once. */
  wake(): void;
}

/** @param signal ends every pause. */
export function createWaker(signal: AbortSignal): Waker {
  let woken = false;
  let end: (() => void) | undefined;
  return {
    async wait(milliseconds) {
      if (!woken && !signal.aborted) {
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
      const wasWoken = woken;
      woken = false;
      return wasWoken;
    },
    wake() {
      woken = true;
      end?.();
    },
  };
}

/** Waits, but not past the end of the signal. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await createWaker(signal).wait(milliseconds);
}
