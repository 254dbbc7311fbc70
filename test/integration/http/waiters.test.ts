import { Redis } from 'ioredis';
import { type CompletionWaiters, createCompletionWaiters } from '../../../src/events/completion-waiters.ts';
import { createSubscriptions, type Subscriptions } from '../../../src/redis/subscriptions.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const CHANNEL = 'finished';
const LONG_MS = 600_000;

let server: TestRedis;
let redis: Redis;
let waiters: CompletionWaiters;
let subscriptions: Subscriptions;
let connected: number;

beforeEach(async () => {
  server = await startTestRedis();
  redis = connect();
  connected = 0;
  subscriptions = createSubscriptions(() => {
    connected += 1;
    return connect();
  });
  waiters = createCompletionWaiters(subscriptions);
});
afterEach(async () => {
  waiters.close();
  subscriptions.close();
  redis.disconnect();
  await server.stop();
});

/** Patient, except at its end: some of these servers are dead then. */
function connect(): Redis {
  const connection = new Redis(server.url, { maxRetriesPerRequest: null, disconnectTimeout: 100 });
  return connection.on('error', () => {});
}

/** A job that can be looked at. */
function job(): { look: () => Promise<string | null>; looks: () => number; end: (how?: string) => void } {
  let looks = 0;
  let ended: string | null = null;
  return {
    look: async () => {
      looks += 1;
      return ended;
    },
    looks: () => looks,
    end: (how = 'done') => {
      ended = how;
    },
  };
}

async function subscribed(): Promise<void> {
  await eventually(async () => expect(await redis.pubsub('NUMSUB', CHANNEL)).toEqual([CHANNEL, 1]));
}

it('a wait for a finished job ends at its first look, without a message', async () => {
  const one = job();
  one.end();
  expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS })).toBe('done');
  expect(one.looks()).toBe(1);
});

it('a message wakes the waits for that job only', async () => {
  const [one, other] = [job(), job()];
  const first = waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS });
  const second = waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS });
  const gone = new AbortController();
  const third = waiters.wait([CHANNEL], 'b', other.look, { timeoutMs: LONG_MS, signal: gone.signal });
  await subscribed();
  await eventually(() => expect([one.looks(), other.looks()]).toEqual([2, 1]));
  one.end();
  await redis.publish(CHANNEL, 'a');
  expect(await Promise.all([first, second])).toEqual(['done', 'done']);
  expect(other.looks()).toBe(1);
  gone.abort();
  await expect(third).rejects.toThrow('aborted');
});

it('a message about an earlier end of a retried job does not end a wait', async () => {
  const one = job();
  const waiting = waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS });
  await subscribed();
  for (let i = 1; i <= 3; i += 1) {
    await eventually(() => expect(one.looks()).toBe(i));
    await redis.publish(CHANNEL, 'a');
  }
  await eventually(() => expect(one.looks()).toBe(4));
  one.end();
  await redis.publish(CHANNEL, 'a');
  expect(await waiting).toBe('done');
});

it('a wait does not miss an end that comes during its look', async () => {
  let looks = 0;
  const look = async (): Promise<string | null> => {
    looks += 1;
    if (looks > 1) return 'done';
    // The look has read that nothing has ended, and brings that home only after the message is there.
    await redis.publish(CHANNEL, 'a');
    await redis.ping();
    return null;
  };
  expect(await waiters.wait([CHANNEL], 'a', look, { timeoutMs: LONG_MS })).toBe('done');
  expect(looks).toBe(2);
});

describe('a wait for a job that had not finished a moment ago', () => {
  /** Resolves when the waiters have heard a message, and so know that they hear all of them. */
  async function heard(): Promise<void> {
    const marker = job();
    const waiting = waiters.wait([CHANNEL], 'marker', marker.look, { timeoutMs: LONG_MS });
    await eventually(() => expect(marker.looks()).toBeGreaterThanOrEqual(1));
    marker.end();
    await redis.publish(CHANNEL, 'marker');
    await waiting;
  }

  it('looks only when the message of its end has come', async () => {
    await heard();
    const one = job();
    const unfinishedAt = performance.now();
    const waiting = waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS, unfinishedAt });
    one.end();
    await heard();
    expect(one.looks()).toBe(0);
    await redis.publish(CHANNEL, 'a');
    expect(await waiting).toBe('done');
    expect(one.looks()).toBe(1);
  });

  it('looks at once when the message of its end came before the wait', async () => {
    await heard();
    const one = job();
    const unfinishedAt = performance.now();
    one.end();
    await redis.publish(CHANNEL, 'a');
    await heard();
    expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS, unfinishedAt })).toBe('done');
  });

  it('looks at once when messages may have been lost since then', async () => {
    await heard();
    const one = job();
    const unfinishedAt = performance.now();
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await subscribed();
    await heard();
    one.end();
    expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS, unfinishedAt })).toBe('done');
  });

  it('looks at once before any message was heard', async () => {
    const one = job();
    one.end();
    const options = { timeoutMs: LONG_MS, unfinishedAt: performance.now() };
    expect(await waiters.wait([CHANNEL], 'a', one.look, options)).toBe('done');
  });
});

it('a wait hears of the end on the channel of any model', async () => {
  const one = job();
  const waiting = waiters.wait(['other', CHANNEL], 'a', one.look, { timeoutMs: LONG_MS });
  await eventually(() => expect(one.looks()).toBe(1));
  one.end();
  await redis.publish(CHANNEL, 'a');
  expect(await waiting).toBe('done');
});

it('a thousand waits use one connection', async () => {
  const one = job();
  const waits = Array.from({ length: 1000 }, (_, i) =>
    waiters.wait([CHANNEL], `job ${i % 500}`, one.look, { timeoutMs: LONG_MS }),
  );
  await eventually(() => expect(one.looks()).toBe(1000));
  one.end();
  for (let i = 0; i < 500; i += 1) await redis.publish(CHANNEL, `job ${i}`);
  expect(new Set(await Promise.all(waits))).toEqual(new Set(['done']));
  expect(connected).toBe(1);
  expect(one.looks()).toBe(2000);
});

it('an aborted wait is not woken by a later message', async () => {
  const one = job();
  const gone = new AbortController();
  const waiting = waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS, signal: gone.signal });
  await eventually(() => expect(one.looks()).toBe(1));
  gone.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  await redis.publish(CHANNEL, 'a');
  // Messages come in order: when this one has arrived, the one before it has too.
  const marker = job();
  const after = waiters.wait([CHANNEL], 'marker', marker.look, { timeoutMs: LONG_MS });
  await eventually(() => expect(marker.looks()).toBe(1));
  marker.end();
  await redis.publish(CHANNEL, 'marker');
  await after;
  expect(one.looks()).toBe(1);
});

it('a wait resolves without a result when its time is up', async () => {
  const one = job();
  expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: 30 })).toBeNull();
  expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: 0 })).toBeNull();
  expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: Number.NaN })).toBeNull();
});

it('a wait rejects with the error of its look', async () => {
  const look = async (): Promise<null> => {
    throw new Error('Redis is away');
  };
  await expect(waiters.wait([CHANNEL], 'a', look, { timeoutMs: LONG_MS })).rejects.toThrow('Redis is away');
});

it('a lost connection makes every wait look, and look again when it is back', async () => {
  const one = job();
  const waiting = waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS });
  await subscribed();
  await eventually(() => expect(one.looks()).toBe(1));
  await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await subscribed();
  await eventually(() => expect(one.looks()).toBeGreaterThanOrEqual(3));
  one.end();
  await redis.publish(CHANNEL, 'a');
  expect(await waiting).toBe('done');
});

it('an unavailable Redis does not delay the first look', async () => {
  await server.kill('SIGKILL');
  const one = job();
  one.end();
  expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS })).toBe('done');
});

it('closing ends every wait, also one that is not subscribed yet', async () => {
  await server.kill('SIGKILL');
  const one = job();
  const waits = Array.from({ length: 3 }, () =>
    waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS }),
  );
  waiters.close();
  expect(await Promise.all(waits)).toEqual([null, null, null]);
  expect(await waiters.wait([CHANNEL], 'a', one.look, { timeoutMs: LONG_MS })).toBeNull();
});
