import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_AGAIN_MS = 50;

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(0, ms), undefined, { signal });
}

/** Looks again and again until it is so. @returns false: it was not, within the limit. */
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
    await pause(everyMs, signal);
  }
}

/**
 * A signal for many who wait, that also aborts when the time is up. With a timer of its own: Node collects `AbortSignal.any()` of an
 * `AbortSignal.timeout()` that nobody else holds, and then it never fires.
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

/** Does each thing at its time after now; things that take long do not hold up the next ones. Resolves when all are done. */
export async function onTime<Thing extends { atMs: number }>(
  things: readonly Thing[],
  act: (thing: Thing) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = Date.now();
  await Promise.all(
    things.map(async (thing) => {
      await pause(startedAt + thing.atMs - Date.now(), signal);
      await act(thing);
    }),
  );
}

/** So many at a time, in order. */
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

/** The value that so large a share of all are not above; NaN for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
