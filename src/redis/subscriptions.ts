import type { Cluster, Redis } from 'ioredis';

/** Subscriptions shares one connection among all listeners of this process. */
export interface Subscriptions {
  /**
   * listen subscribes to a channel.
   *
   * @param onNews called with each message, and without a message when some may have been lost.
   */
  listen(channel: string, onNews: (message?: string) => void): Subscription;
  close(): void;
}

/** Subscription is one listener of one channel. */
export interface Subscription {
  /**
   * Resolves when the subscription is active or its first try has failed. After a failure `onNews` is called
   * when the subscription becomes active.
   */
  readonly standing: Promise<unknown>;
  end(): void;
}

/**
 * createSubscriptions makes subscriptions that share one connection.
 *
 * @param connect called once, for the first listener.
 */
export function createSubscriptions(connect: () => Redis | Cluster): Subscriptions {
  let subscriber: Redis | Cluster | undefined;
  const listeners = new Map<string, Set<(message?: string) => void>>();
  const standing = new Map<string, Promise<unknown>>();
  let closed = false;

  const tell = (channel: string, message?: string): void => {
    for (const listener of listeners.get(channel) ?? []) listener(message);
  };
  const tellAll = (): void => {
    for (const channel of listeners.keys()) tell(channel);
  };
  const subscribe = (client: Redis | Cluster, channel: string): Promise<unknown> => {
    const subscribing = client.subscribe(channel).catch(() => standing.delete(channel));
    standing.set(channel, subscribing);
    return subscribing;
  };
  /**
   * After a reconnect, messages may have been lost: all listeners are called once the subscriptions are
   * active.
   */
  const subscribeAgain = async (client: Redis | Cluster): Promise<void> => {
    await Promise.all([...listeners.keys()].map((channel) => subscribe(client, channel)));
    tellAll();
  };
  const connected = (): Redis | Cluster => {
    if (subscriber !== undefined) return subscriber;
    const client = connect();
    let lost = false;
    client.on('message', tell);
    // All listeners are called, so that their next read fails at once while Redis is away.
    client.on('close', () => {
      lost = true;
      tellAll();
    });
    client.on('ready', () => {
      if (lost) void subscribeAgain(client);
      lost = false;
    });
    subscriber = client;
    return client;
  };

  return {
    listen(channel, onNews) {
      const others = listeners.get(channel) ?? new Set();
      listeners.set(channel, others.add(onNews));
      return {
        standing: closed ? Promise.resolve() : (standing.get(channel) ?? subscribe(connected(), channel)),
        end() {
          others.delete(onNews);
          if (others.size > 0 || listeners.get(channel) !== others) return;
          listeners.delete(channel);
          standing.delete(channel);
          subscriber?.unsubscribe(channel).catch(() => {});
        },
      };
    },
    close() {
      closed = true;
      tellAll();
      subscriber?.disconnect();
    },
  };
}
