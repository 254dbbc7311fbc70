import type { Quota } from '../../src/quota/quota.ts';
import type { RedisClient } from '../../src/redis/connection.ts';

/** What workers tell each other of the quotas, as soon as one of them learns of it. */
export interface QuotaSignals {
  /** @param wake called when there may be more to take. */
  listen(quota: Quota, wake: () => void): void;
  /** Whether somebody has just said that nothing may be sent. The quota itself says it too, but a grant may be older than that. */
  isStopped(quota: Quota): boolean;
}

export function createQuotaSignals(subscriber: RedisClient, onError: (error: Error) => void): QuotaSignals {
  const wakers = new Map<string, (() => void)[]>();
  const stoppedUntil = new Map<string, number>();
  subscriber.on('message', (channel: string, message: string) => {
    const listening = wakers.get(channel);
    if (listening === undefined) return;
    // Milliseconds of a stop, 0 at its end; or nothing: there may be more to take.
    if (message !== '') stoppedUntil.set(channel, Date.now() + Number(message));
    for (const wake of listening) wake();
  });
  // What was said while the connection was away was not heard; that it is over may have been among it.
  subscriber.on('ready', () => stoppedUntil.clear());
  return {
    listen({ channel }, wake) {
      const listening = wakers.get(channel);
      if (listening !== undefined) {
        listening.push(wake);
        return;
      }
      wakers.set(channel, [wake]);
      subscriber.subscribe(channel).catch(onError);
    },
    isStopped: ({ channel }) => (stoppedUntil.get(channel) ?? 0) > Date.now(),
  };
}
