/** Waits, when this process has been busy for long enough, until its timers and other connections have had their turn. */
export type YieldWhenBusy = () => Promise<void> | undefined;

/**
 * Streams are read in microtasks, before which nothing else comes: when thousands of them have something to say at once, that may
 * take seconds, and locks that nobody renews meanwhile are lost.
 *
 * @param busyMs for how long all that share this may go on without a pause, in milliseconds.
 */
export function createYieldWhenBusy(busyMs: number): YieldWhenBusy {
  let begunAt = performance.now();
  let pause: Promise<void> | undefined;
  return () => {
    if (pause === undefined && performance.now() - begunAt < busyMs) return undefined;
    pause ??= new Promise((resolve) => {
      setImmediate(() => {
        pause = undefined;
        begunAt = performance.now();
        resolve();
      });
    });
    return pause;
  };
}
