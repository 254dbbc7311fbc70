import type { Subscription, Subscriptions } from '../redis/subscriptions.ts';

/**
 * After how many milliseconds without a message a waiter looks again. A message may be lost in a reconnect,
 * and without this look its caller would wait until the timeout.
 */
const LOOK_AGAIN_MS = 15_000;
/** How long the first look waits for the subscription, in milliseconds. */
const SUBSCRIBING_MS = 1000;
/** How long the ids of finished jobs are remembered, in milliseconds: longer than enqueueing a job takes. */
const REMEMBERED_MS = 2000;

/** CompletionWaiters let callers wait for the end of jobs. */
export interface CompletionWaiters {
  /**
   * Whether the waiters listen on these channels, so that a wait need not subscribe before its first look.
   */
  isListening(channels: readonly string[]): boolean;
  /**
   * Calls `look` now, and again whenever the job may have finished, until it returns something.
   * @param channels the channels on which the end of the job may be announced: those of all models in which
   * the job may be. A job of another model with the same id causes one look too many.
   * @returns null when the time is up or the waiters are closed.
   * @throws the signal's reason when it aborts.
   */
  wait<Found>(
    channels: readonly string[],
    id: string,
    look: () => Promise<Found | null>,
    options: WaitersOptions,
  ): Promise<Found | null>;
  close(): void;
}

export interface WaitersOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /**
   * A time of `performance.now()` at which the job had not finished. If the waiters have heard every message
   * since then, and none of them names the job, the first look is left out. Default: not known.
   */
  unfinishedAt?: number | undefined;
}

/**
 * createCompletionWaiters makes waiters that a message wakes. Each waiter costs a map entry, a timer, and a
 * look every 15 s.
 */
export function createCompletionWaiters(subscriptions: Subscriptions): CompletionWaiters {
  const listening = new Map<string, Channel>();
  const wakers = new Map<string, Set<() => void>>();
  const finished = createRecentIds();
  let closed = false;

  const wake = (id: string): void => {
    for (const waker of wakers.get(id) ?? []) waker();
  };
  const wakeAll = (): void => {
    for (const id of wakers.keys()) wake(id);
  };
  /** Each model has one subscription, which stays until the process closes it. */
  const listen = (name: string): Channel => {
    const known = listening.get(name);
    if (known !== undefined) return known;
    const channel: Channel = {
      isListening: false,
      heardSince: Number.POSITIVE_INFINITY,
      subscription: subscriptions.listen(name, (id) => {
        if (id === undefined) {
          channel.heardSince = Number.POSITIVE_INFINITY;
          wakeAll();
          return;
        }
        // The first message after a lost one shows that the subscription is active again.
        channel.heardSince = Math.min(channel.heardSince, performance.now());
        finished.add(id);
        wake(id);
      }),
    };
    void channel.subscription.standing.then(() => {
      channel.isListening = true;
    });
    listening.set(name, channel);
    return channel;
  };
  const isUnfinished = (channels: readonly Channel[], id: string, at: number | undefined): boolean =>
    at !== undefined &&
    at > performance.now() - REMEMBERED_MS &&
    channels.every(({ heardSince }) => heardSince <= at) &&
    !finished.has(id);

  return {
    isListening: (names) => names.every((name) => listening.get(name)?.isListening === true),

    async wait(names, id, look, { timeoutMs, signal, unfinishedAt }) {
      const deadline = Date.now() + timeoutMs;
      const channels = names.map(listen);
      let isKnown = isUnfinished(channels, id, unfinishedAt);
      for (;;) {
        signal?.throwIfAborted();
        if (closed) return null;
        // The subscription comes before the look: the look sees an end that came before it, and a message
        // announces a later end.
        const turn = nextTurn(wakers, id, signal);
        try {
          if (!isKnown) {
            await Promise.race([Promise.all(channels.map(standing)), turn.done(SUBSCRIBING_MS)]);
          }
          const found = isKnown ? null : await look();
          isKnown = false;
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

/** Channel is the subscription of one model's channel. */
interface Channel {
  subscription: Subscription;
  /** Whether the first subscription is active, or has failed. */
  isListening: boolean;
  /** A time of `performance.now()` since which no message was missed; infinity: messages may be lost now. */
  heardSince: number;
}

interface Turn {
  /** Resolves when the waiter is woken, when the signal aborts, or after `timeoutMs` milliseconds. */
  done(timeoutMs: number): Promise<void>;
  leave(): void;
}

function nextTurn(wakers: Map<string, Set<() => void>>, id: string, signal: AbortSignal | undefined): Turn {
  let woken = false;
  let resolve: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  const waker = (): void => {
    woken = true;
    resolve?.();
  };
  const others = wakers.get(id) ?? new Set();
  wakers.set(id, others.add(waker));
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
      if (others.size === 0) wakers.delete(id);
    },
  };
}

function standing({ subscription }: Channel): Promise<unknown> {
  return subscription.standing;
}

/** Remembers ids for `REMEMBERED_MS` at least, and for twice as long at most. */
function createRecentIds(): { add: (id: string) => void; has: (id: string) => boolean } {
  let [young, old] = [new Set<string>(), new Set<string>()];
  let youngSince = performance.now();
  const age = (): void => {
    const ageMs = performance.now() - youngSince;
    if (ageMs < REMEMBERED_MS) return;
    old = ageMs < 2 * REMEMBERED_MS ? young : new Set();
    young = new Set();
    youngSince = performance.now();
  };
  return {
    add(id) {
      age();
      young.add(id);
    },
    has(id) {
      age();
      return young.has(id) || old.has(id);
    },
  };
}
