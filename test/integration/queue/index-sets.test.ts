import { Redis } from 'ioredis';
import { cursorFrom, entryFrom, type IndexEntry, newestFirst } from '../../../src/job-store/index-sets.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

let server: TestRedis;
let redis: Redis;
const keys = keysOf('o3q', 'o3');
const models = new Map([['o3', keys.index('all')]]);
const all = keys.index('all');

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

const idOf = (i: number): string => `job_${String(i).padStart(5, '0')}`;
const numbers = (from: number, to: number): number[] =>
  Array.from({ length: Math.abs(to - from) }, (_, i) => (from < to ? from + i : from - i));

/** Puts jobs into the index, each at a millisecond of its own or all at the same. */
async function index(ids: readonly number[], at: (i: number) => number = (i) => i): Promise<void> {
  await redis.zadd(all, ...ids.flatMap((i) => [String(at(i)), idOf(i)]));
}

async function read(count: number, entries: AsyncGenerator<IndexEntry>): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const next = await entries.next();
    if (next.done) break;
    ids.push(next.value.id);
  }
  return ids;
}

const inOneMillisecond = (): number => 1000;

describe.each([
  ['each of its own millisecond', undefined],
  ['all of one millisecond', inOneMillisecond],
] as const)('entries %s', (_what, at) => {
  it('are listed once each while newer jobs arrive', async () => {
    await index(numbers(0, 500), at);
    const entries = newestFirst(redis, models, undefined);
    const first = await read(100, entries);
    await index(numbers(500, 560), at);
    expect([...first, ...(await read(1000, entries))]).toEqual(numbers(499, -1).map(idOf));
  });

  it('are listed once each while jobs before them disappear', async () => {
    await index(numbers(0, 500), at);
    const entries = newestFirst(redis, models, undefined);
    const first = await read(100, entries);
    await redis.zrem(all, ...numbers(499, 420).map(idOf));
    expect([...first, ...(await read(1000, entries))]).toEqual(numbers(499, -1).map(idOf));
  });

  it('continue after a cursor, also when the entry of the cursor is gone', async () => {
    await index(numbers(0, 500), at);
    const cursor = cursorFrom({ model: 'o3', id: idOf(250), createdAt: at?.() ?? 250 });
    await redis.zrem(all, idOf(250));
    expect(await read(1000, newestFirst(redis, models, entryFrom(cursor)))).toEqual(
      numbers(249, -1).map(idOf),
    );
  });
});

it('ids of every alphabet are ordered as Redis orders them', async () => {
  const ids = ['a', 'Z', 'é', '\u{1f984}', '\uffee', '漢', '~', '10', '9'];
  await redis.zadd(all, ...ids.flatMap((id) => ['1000', id]));
  const inRedis = await redis.zrevrange(all, 0, -1);
  for (const [i, id] of inRedis.entries()) {
    const after = { model: 'o3', id, createdAt: 1000 };
    expect(await read(100, newestFirst(redis, models, after))).toEqual(inRedis.slice(i + 1));
  }
});

it('jobs of several models with the same id and millisecond are listed once each', async () => {
  const both = new Map([
    ['a', keysOf('o3q', 'a').index('all')],
    ['b', keysOf('o3q', 'b').index('all')],
  ]);
  for (const key of both.values()) await redis.zadd(key, '1000', '1', '1000', '2');
  const seen: string[] = [];
  let after: IndexEntry | undefined;
  for (;;) {
    const { value, done } = await newestFirst(redis, both, after).next();
    if (done) break;
    seen.push(`${value.model}:${value.id}`);
    after = entryFrom(cursorFrom(value));
  }
  expect(seen).toEqual(['b:2', 'a:2', 'b:1', 'a:1']);
});
