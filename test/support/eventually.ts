import { setTimeout as delay } from 'node:timers/promises';
import { TIME_LIMIT_MS } from './time-limit.ts';

const RETRY_MS = 10;

/**
 * Repeats an assertion until it passes, and hands back what it returned; at the limit it throws the last
 * failure, which says what was seen. For facts outside the process; inside, wait for the event itself.
 */
export async function eventually<T>(assertion: () => T | Promise<T>, limitMs = TIME_LIMIT_MS): Promise<T> {
  const deadlineMs = Date.now() + limitMs;
  for (;;) {
    try {
      return await assertion();
    } catch (error: unknown) {
      if (Date.now() >= deadlineMs) throw error;
    }
    await delay(RETRY_MS);
  }
}

/** Waits until a text matches, without Jest, so that `npm run chaos` can use it too. */
export function eventuallyMatches(
  read: () => Promise<unknown>,
  pattern: RegExp,
  limitMs = TIME_LIMIT_MS,
): Promise<void> {
  return eventually(async () => {
    const text = String(await read());
    if (!pattern.test(text)) throw new Error(`expected ${pattern}, got ${text}`);
  }, limitMs);
}
