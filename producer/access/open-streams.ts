import type { Config } from '../../src/config/environment.ts';
import { HttpProblem } from '../http/http-problem.ts';
import type { Keyring, KnownCaller } from './keyring.ts';

/** When to try again, in seconds: one of the tenant's streams may have ended by then. */
const RETRY_S = 5;

/** How often the process looks for streams whose key is gone, in milliseconds. */
const LOOK_EVERY_MS = 1000;

/**
 * OpenStreams counts the event streams that this process keeps open for each tenant, and ends those whose key the
 * instance no longer has.
 */
export interface OpenStreams {
  /**
   * open counts a stream of the caller until `closed` aborts.
   *
   * @param end breaks the connection of the stream: a reader would take a stream that just ends for a complete one.
   * @throws {HttpProblem} `too_many_streams`
   */
  open(caller: KnownCaller | undefined, closed: AbortSignal, end: () => void): void;
}

/**
 * @param settings may change; each stream reads the limit of its tenant when it opens.
 * @param draining aborts when the producer is about to stop.
 */
export function createOpenStreams(
  settings: Pick<Config, 'tenants' | 'keys'>,
  keyring: Keyring,
  draining: AbortSignal,
): OpenStreams {
  const open = new Map<string, number>();
  const streams = new Set<{ keyId: string; end: () => void }>();
  let { keys } = settings;
  const timer = setInterval(() => {
    if (settings.keys === keys) return;
    keys = settings.keys;
    for (const { keyId, end } of streams) if (keyring.keyWith(keyId) === undefined) end();
  }, LOOK_EVERY_MS);
  timer.unref();
  draining.addEventListener('abort', () => clearInterval(timer), { once: true });
  return {
    open(caller, closed, end) {
      if (caller === undefined || closed.aborted) return;
      const { tenant, keyId } = caller;
      const { maxStreams } = (Object.hasOwn(settings.tenants, tenant) && settings.tenants[tenant]) || {};
      const count = open.get(tenant) ?? 0;
      if (maxStreams !== undefined && count >= maxStreams) {
        throw new HttpProblem(
          'too_many_streams',
          `${tenant} has ${count} open event streams at this producer, and may have ${maxStreams}. Close some, ` +
            'ask for the result with ?wait, or raise maxStreams in o3q.config.json',
          { headers: { 'retry-after': String(RETRY_S), 'retry-after-ms': String(RETRY_S * 1000) } },
        );
      }
      open.set(tenant, count + 1);
      const stream = { keyId, end };
      streams.add(stream);
      const forget = (): void => {
        streams.delete(stream);
        open.set(tenant, (open.get(tenant) ?? 1) - 1);
      };
      closed.addEventListener('abort', forget, { once: true });
    },
  };
}
