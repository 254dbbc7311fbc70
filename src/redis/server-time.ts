import type { Cluster, Redis } from 'ioredis';

type RedisClient = Redis | Cluster;

/**
 * ServerClock estimates the time of the server to which a client is connected. It never uses the clock of
 * this machine, once the server has told its time: it adds the monotonic time that has passed since then. So
 * a step of the machine's clock changes nothing.
 */
class ServerClock {
  /** The server's time (Unix ms) minus `performance.now()`. */
  #offset: number | undefined;
  #asking: Promise<void> | undefined;
  readonly #client: RedisClient;

  constructor(client: RedisClient) {
    this.#client = client;
    const ask = (): void => void this.ask();
    // After a failover another server answers, whose clock may differ.
    client.on('ready', ask);
    if (client.status === 'ready') ask();
  }

  now(): number {
    return this.#offset === undefined ? Date.now() : Math.round(this.#offset + performance.now());
  }

  isKnown(): boolean {
    return this.#offset !== undefined;
  }

  /** Asks for the time. A failure is ignored: the connection reports it. */
  ask(): Promise<void> {
    const askedAt = performance.now();
    this.#asking ??= this.#client
      .time()
      .then((reply) => this.hear(reply, askedAt))
      .catch(() => {})
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  /**
   * Learns the time from a reply to TIME. The server read its clock at some moment between the question and
   * the reply. The estimate changes only when it lies outside that interval, so a slow reply makes a good
   * estimate no worse.
   */
  hear(reply: unknown, askedAt: number): void {
    const [seconds, microseconds] = (reply as (string | number)[]).map(Number);
    if (seconds === undefined || microseconds === undefined) return;
    const serverMs = seconds * 1000 + microseconds / 1000;
    const [least, most] = [serverMs - performance.now(), serverMs - askedAt];
    if (this.#offset === undefined || this.#offset < least || this.#offset > most)
      this.#offset = (least + most) / 2;
  }
}

const clocks = new WeakMap<RedisClient, ServerClock>();

function clockOf(client: RedisClient): ServerClock {
  const clock = clocks.get(client) ?? new ServerClock(client);
  clocks.set(client, clock);
  return clock;
}

/**
 * serverTime returns the time of the Redis to which a client is connected, in Unix milliseconds. Use it for
 * every time that another process, or this one after a restart, may compare: the clocks of machines differ,
 * and are set forward and back. Measure durations inside one process with `performance.now()`.
 *
 * Until Redis has first told its time, serverTime returns the time of this machine.
 */
export function serverTime(client: RedisClient): number {
  return clockOf(client).now();
}

/** knowServerTime resolves when serverTime returns the time of Redis, or Redis has not answered. */
export async function knowServerTime(client: RedisClient): Promise<void> {
  const clock = clockOf(client);
  if (!clock.isKnown() && client.status === 'ready') await clock.ask();
}

/**
 * hearServerTime learns the time from a reply to TIME that other code has asked for.
 * @param askedAt when TIME was sent, by `performance.now()`.
 */
export function hearServerTime(client: RedisClient, reply: unknown, askedAt: number): void {
  clockOf(client).hear(reply, askedAt);
}
