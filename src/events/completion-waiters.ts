import type { Subscription, Subscriptions } from '../redis/subscriptions.ts';

/**
 * After how many milliseconds without a message a waiter looks again. A message may be lost in a reconnect,
 * and without this look its caller would wait until the timeout.
 */
const LOOK_AGAIN_MS = 15_000;
/** How long the first look waits for the subscription, in milliseconds. */
const SUBSCRIBING_MS = 1000;

/** CompletionWaiters let callers wait for the end of jobs. */
export interface CompletionWaiters {
  /**
   * Calls `look` now, and again whenever the job may have finished, until it returns something.
   * @returns null when the time is up or the waiters are closed.
   * @throws the signal's reason when it aborts.
   */
  wait<Found>(
    channel: string,
    id: string,
    look: () => Promise<Found | null>,
    options: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<Found | null>;
  close(): void;
}

/**
 * createCompletionWaiters makes waiters that a message wakes. Each waiter costs a map entry, a timer, and a
 * look every 15 s.
 */
export function createCompletionWaiters(subscriptions: Subscriptions): CompletionWaiters {
  const listening = new Map<string, Subscription>();
  const wakers = new Map<string, Set<() => void>>();
  let closed = false;

  const wake = (key: string): void => {
    for (const waker of wakers.get(key) ?? []) waker();
  };
  const wakeAll = (): void => {
    for (const key of wakers.keys()) wake(key);
  };
  /** Each model has one subscription, which stays until the process closes it. */
  const listen = (channel: string): Promise<unknown> => {
    const known =
      listening.get(channel) ??
      subscriptions.listen(channel, (id) => (id === undefined ? wakeAll() : wake(keyOf(channel, id))));
    listening.set(channel, known);
    return known.standing;
  };

  return {
    async wait(channel, id, look, { timeoutMs, signal }) {
      const deadline = Date.now() + timeoutMs;
      const key = keyOf(channel, id);
      for (;;) {
        signal?.throwIfAborted();
        if (closed) return null;
        // The subscription comes before the look: the look sees an end that came before it, and a message
        // announces a later end.
        const turn = nextTurn(wakers, key, signal);
        try {
          await Promise.race([listen(channel), turn.done(SUBSCRIBING_MS)]);
          const found = await look();
          const leftMs = deadline - Date.now();
          // Not `leftMs <= 0`: NaN must not wait for ever.
          if (found !== null || !(leftMs > 0)) return found;
          await turn.done(Math.min(leftMs, LOOK_AGAIN_MS));
        } finally {
          turn.leave();
        }
      }
    },

    close() {
      closed = true;
      wakeAll();
    },
  };
}

interface Turn {
  /** Resolves when the waiter is woken, when the signal aborts, or after `timeoutMs` milliseconds. */
  done(timeoutMs: number): Promise<void>;
  leave(): void;
}

function nextTurn(wakers: Map<string, Set<() => void>>, key: string, signal: AbortSignal | undefined): Turn {
  let woken = false;
  let resolve: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  const waker = (): void => {
    woken = true;
    resolve?.();
  };
  const others = wakers.get(key) ?? new Set();
  wakers.set(key, others.add(waker));
  signal?.addEventListener('abort', waker, { once: true });
  return {
    async done(timeoutMs) {
      if (woken) return;
      clearTimeout(timer);
      await new Promise<void>((settle) => {
        resolve = settle;
        timer = setTimeout(settle, timeoutMs);
      });
    },
    leave() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', waker);
      others.delete(waker);
      if (others.size === 0) wakers.delete(key);
    },
  };
}

function keyOf(channel: string, id: string): string {
  return `${channel} ${id}`;
}
