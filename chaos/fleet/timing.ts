import { setMaxListeners } from 'node:events';
import { sleep } from '../../src/async/sleep.ts';

const LOOK_AGAIN_MS = 50;

/**
 * becomes checks a condition repeatedly until it holds. @returns false if it does not hold within the limit.
 */
export async function becomes(
  isSo: () => Promise<boolean>,
  limitMs: number,
  signal: AbortSignal,
  everyMs = LOOK_AGAIN_MS,
): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    if (await isSo()) return true;
    if (Date.now() >= deadline) return false;
    await sleep(everyMs, signal);
  }
}

/**
 * limited returns a signal that also aborts when the time is up. It has a timer of its own: Node may
 * garbage-collect an `AbortSignal.timeout()` that only an `AbortSignal.any()` refers to, and neither signal
 * then ever aborts.
 */
export function limited(signal: AbortSignal, limitMs: number): AbortSignal {
  const controller = new AbortController();
  const end = (): void => {
    clearTimeout(timer);
    controller.abort(signal.reason);
  };
  const timer = setTimeout(end, limitMs);
  timer.unref();
  signal.addEventListener('abort', end, { once: true });
  setMaxListeners(0, controller.signal);
  return controller.signal;
}

/**
 * onTime acts on each item at the item's time, counted from now. A slow action does not delay the next ones.
 * It resolves when all actions are done.
 */
export async function onTime<Thing extends { atMs: number }>(
  things: readonly Thing[],
  act: (thing: Thing) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = Date.now();
  await Promise.all(
    things.map(async (thing) => {
      await sleep(startedAt + thing.atMs - Date.now(), signal);
      await act(thing);
    }),
  );
}

/** inParallel acts on the items in order, `width` at a time. */
export async function inParallel<Item>(
  items: readonly Item[],
  width: number,
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const lane = async (): Promise<void> => {
    for (const item of queue) await act(item);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

/** percentile is the smallest value that is not below `share` of all values; NaN for no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
