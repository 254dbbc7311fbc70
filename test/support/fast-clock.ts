import timers from 'node:timers/promises';

/**
 * The fast clock moves on by this much in each turn of a millisecond or two: about twenty times real time.
 */
const STEP_MS = 20;
/** Taken before a test replaces it. */
const realSetTimeout = setTimeout;

/**
 * onFastClock runs `work` on a clock that goes about twenty times as fast as the real one: `setTimeout`,
 * `setInterval`, `Date`, `performance` and the `setTimeout` of `node:timers/promises`. The network stays
 * real, which is why the clock does not simply jump from timer to timer: an answer of a local server must
 * have time to arrive before a limit of 30 s has passed. For unit tests only: with a real Redis fake timers
 * fight the driver.
 */
export async function onFastClock<Value>(work: () => Promise<Value>): Promise<Value> {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] });
  const sleep = jest.spyOn(timers, 'setTimeout').mockImplementation(sleepOnGlobalTimers);
  let ended = false;
  try {
    const running = work();
    const end = (): void => {
      ended = true;
    };
    running.then(end, end);
    while (!ended) {
      await new Promise((resolve) => realSetTimeout(resolve, 1));
      await jest.advanceTimersByTimeAsync(STEP_MS);
    }
    return await running;
  } finally {
    sleep.mockRestore();
    jest.useRealTimers();
  }
}

/**
 * sleepOnGlobalTimers is the `setTimeout` of `node:timers/promises`, which Jest does not fake, on the global
 * one.
 */
function sleepOnGlobalTimers<Value>(
  milliseconds?: number,
  value?: Value,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Value> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve(value as Value);
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
