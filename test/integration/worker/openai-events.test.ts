import { Redis } from 'ioredis';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { connectRedis, type RedisClient } from '../../../src/redis/connection.ts';
import { listenForOpenAiEvents, type OpenAiEvents } from '../../../worker/upstream/openai-events.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const ENDED = 'o3q:{webhooks}:ended';
const CHANNEL = 'o3q:{webhooks}';
const HOUR_MS = 3_600_000;

let server: TestRedis;
let inspector: Redis;
let queue: InstanceQueue;
let redis: RedisClient;
let subscriber: RedisClient;
let news: OpenAiEvents;
let errors: Error[];
let gone: AbortController;

beforeAll(async () => {
  server = await startTestRedis();
  inspector = new Redis(server.url);
});
beforeEach(async () => {
  await inspector.flushall();
  errors = [];
  gone = new AbortController();
  queue = new InstanceQueue({ redisUrl: server.url });
  redis = connectRedis(server.url, 'patient', { onError: (error) => errors.push(error) });
  subscriber = connectRedis(server.url, 'patient', { onError: (error) => errors.push(error) });
  news = listenForOpenAiEvents(redis, subscriber, 'o3q', (error) => errors.push(error));
  await listening();
  // Answered after the first subscription, with which the first look at what is remembered begins: none is
  // left over.
  await subscriber.subscribe(CHANNEL);
});
afterEach(async () => {
  gone.abort();
  await queue.close();
  subscriber.disconnect();
  redis.disconnect();
  expect(errors).toEqual([]);
});
afterAll(async () => {
  inspector.disconnect();
  await server.stop();
});

async function listening(count = 1): Promise<void> {
  await eventually(async () => expect(await inspector.pubsub('NUMSUB', CHANNEL)).toEqual([CHANNEL, count]));
}

/** Reads along; what has come so far. */
function read(sinceMs: number, from = news): string[] {
  const ids: string[] = [];
  void (async () => {
    for await (const id of from.ended(sinceMs, gone.signal)) ids.push(id);
  })();
  return ids;
}

/** Drops the subscriber's connection as a network does; ioredis comes back by itself. */
async function cutSubscriber(): Promise<void> {
  const clients = String(await inspector.client('LIST', 'TYPE', 'PUBSUB'));
  const [, id] = /^id=(\d+)/m.exec(clients) ?? [];
  if (id === undefined) throw new Error(`expected a subscriber, saw ${clients}`);
  expect(await inspector.client('KILL', 'ID', id)).toBe(1);
}

describe('a webhook in the queue', () => {
  it('is remembered and announced once, however often it comes', async () => {
    const ids = read(0);
    expect(await queue.receiveWebhook('wh_1', 'resp_1')).toBe(true);
    expect(await queue.receiveWebhook('wh_1', 'resp_1')).toBe(false);
    expect(await queue.receiveWebhook('wh_2', 'resp_2')).toBe(true);
    await eventually(() => expect(ids).toEqual(['resp_1', 'resp_2']));
    expect(await inspector.zrange(ENDED, 0, '-1')).toEqual(['wh_1 resp_1', 'wh_2 resp_2']);
  });

  it('is forgotten after an hour, or when ten thousand newer ones have come', async () => {
    await inspector.zadd(ENDED, Date.now() - HOUR_MS - 1000, 'wh_old resp_old');
    await inspector.zadd(ENDED, Date.now() - HOUR_MS + 60_000, 'wh_young resp_young');
    await queue.receiveWebhook('wh_1', 'resp_1');
    expect(await inspector.zrange(ENDED, 0, '-1')).toEqual(['wh_young resp_young', 'wh_1 resp_1']);
    const others = Array.from({ length: 10_000 }, (_, i) => [
      Date.now() - HOUR_MS / 2,
      `wh_x${i} resp_x${i}`,
    ]);
    await inspector.zadd(ENDED, ...others.flat());
    await queue.receiveWebhook('wh_2', 'resp_2');
    expect(await inspector.zcard(ENDED)).toBe(10_000);
    expect(await inspector.zrange(ENDED, '-2', '-1')).toEqual(['wh_1 resp_1', 'wh_2 resp_2']);
  });
});

describe('watch', () => {
  it('wakes each watcher of a response that has ended, until the watcher stops', async () => {
    const woken: string[] = [];
    const stop = news.watch('resp_1', () => woken.push('one'));
    news.watch('resp_1', () => woken.push('two'));
    news.watch('resp_2', () => woken.push('other'));
    await queue.receiveWebhook('wh_1', 'resp_1');
    await eventually(() => expect(woken).toEqual(['one', 'two']));
    stop();
    await queue.receiveWebhook('wh_2', 'resp_1');
    await queue.receiveWebhook('wh_3', 'resp_2');
    await eventually(() => expect(woken).toEqual(['one', 'two', 'two', 'other']));
  });

  it('ignores other messages on the same connection', async () => {
    await subscriber.subscribe('o3q:cancel:{o3}');
    const woken: string[] = [];
    news.watch('resp_1', () => woken.push('resp_1'));
    news.watch('resp_2', () => woken.push('resp_2'));
    await inspector.publish('o3q:cancel:{o3}', 'resp_1');
    await queue.receiveWebhook('wh_2', 'resp_2');
    await eventually(() => expect(woken).toEqual(['resp_2']));
  });

  it('wakes a watcher after a broken connection for an event that was missed', async () => {
    const woken: string[] = [];
    news.watch('resp_1', () => woken.push('resp_1'));
    news.watch('resp_2', () => woken.push('resp_2'));
    // Written without being told: as it is when nobody listens.
    await inspector.zadd(ENDED, Date.now(), 'wh_1 resp_1');
    await cutSubscriber();
    await eventually(() => expect(woken).toEqual(['resp_1']));
    await listening();
    await queue.receiveWebhook('wh_2', 'resp_2');
    await eventually(() => expect(woken).toEqual(['resp_1', 'resp_2']));
  });
});

describe('ended', () => {
  it('yields the remembered ids, then new ones, each once, until its reader stops', async () => {
    const since = Date.now() - 1000;
    await inspector.zadd(ENDED, since - 60_000, 'wh_0 resp_before');
    await queue.receiveWebhook('wh_1', 'resp_1');
    const ids = read(since);
    await eventually(() => expect(ids).toEqual(['resp_1']));
    await queue.receiveWebhook('wh_2', 'resp_2');
    // Another webhook of the same response.
    await queue.receiveWebhook('wh_3', 'resp_1');
    await queue.receiveWebhook('wh_4', 'resp_3');
    await eventually(() => expect(ids).toEqual(['resp_1', 'resp_2', 'resp_3']));
    gone.abort();
    await queue.receiveWebhook('wh_5', 'resp_4');
    expect(await news.ended(0, gone.signal).next()).toEqual({ done: true, value: undefined });
    expect(ids).toEqual(['resp_1', 'resp_2', 'resp_3']);
  });

  it('ends at once when the signal aborts', async () => {
    const reading = news.ended(0, gone.signal).next();
    gone.abort();
    expect(await reading).toEqual({ done: true, value: undefined });
  });

  it('misses no event that comes while it begins', async () => {
    const expected = Array.from({ length: 300 }, (_, i) => `resp_${i}`);
    const sending = Promise.all(expected.map((id) => queue.receiveWebhook(`wh_${id}`, id)));
    const readers: string[][] = [];
    const begin = setInterval(() => readers.push(read(0)), 1);
    await sending;
    clearInterval(begin);
    readers.push(read(0));
    await eventually(() => {
      for (const ids of readers) expect(ids.toSorted()).toEqual(expected.toSorted());
    });
  });

  it('yields after a broken connection what was missed, and nothing twice', async () => {
    const ids = read(Date.now());
    await queue.receiveWebhook('wh_1', 'resp_1');
    await eventually(() => expect(ids).toEqual(['resp_1']));
    await inspector.zadd(ENDED, Date.now(), 'wh_2 resp_2');
    await cutSubscriber();
    await eventually(() => expect(ids).toEqual(['resp_1', 'resp_2']));
  });

  it('yields events from before the first subscription', async () => {
    const late = connectRedis(server.url, 'patient', { onError: (error) => errors.push(error) });
    const lateNews = listenForOpenAiEvents(redis, late, 'o3q', (error) => errors.push(error));
    const woken: string[] = [];
    lateNews.watch('resp_1', () => woken.push('resp_1'));
    await queue.receiveWebhook('wh_1', 'resp_1');
    const ids = read(0, lateNews);
    await listening(2);
    await eventually(() => expect([woken.length > 0, ids]).toEqual([true, ['resp_1']]));
    late.disconnect();
  });
});
