import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';

/**
 * Retry repeats a call while the instance cannot be reached, cannot serve, or limits the rate of requests.
 */
export type Retry = <Value>(call: () => Promise<Value>) => Promise<Value>;

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const AWAY_CODES: ReadonlySet<string> = new Set([
  'instance_unreachable',
  'answer_lost',
  'redis_unavailable',
  'storage_full',
  'body_memory_full',
]);
const AWAY_STATUSES: ReadonlySet<number | undefined> = new Set([429, 502, 503, 504]);

/**
 * createRetry makes a Retry. It waits with exponential backoff, or for as long as the instance's Retry-After
 * says if that is longer.
 *
 * @param say is called once when the first call begins to wait, and once when the last waiting call has
 * succeeded.
 */
export function createRetry(say: (text: string) => void, signal: AbortSignal): Retry {
  let waiting = 0;
  return async (call) => {
    for (let failures = 0; ; failures += 1) {
      try {
        const value = await call();
        if (failures > 0) {
          waiting -= 1;
          if (waiting === 0) say('The instance answers again.');
        }
        return value;
      } catch (error: unknown) {
        signal.throwIfAborted();
        if (!isTransient(error)) throw error;
        if (failures === 0) {
          if (waiting === 0) say(`${error.message}; trying again`);
          waiting += 1;
        }
        const backoffMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
        await sleep(Math.max(backoffMs, error.retryAfterMs ?? 0), signal);
      }
    }
  };
}

function isTransient(error: unknown): error is O3ClientError {
  return error instanceof O3ClientError && (AWAY_CODES.has(error.code) || AWAY_STATUSES.has(error.status));
}
