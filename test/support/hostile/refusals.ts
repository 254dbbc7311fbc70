import { Redis } from 'ioredis';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../eventually.ts';
import { type CallOptions, call, enqueue, expectProblem, reached } from '../http/http-calls.ts';
import { type Instance, startInstance } from '../worlds/instance.ts';

const o3 = keysOf('o3q', 'o3');

/** RefusalWorld is an instance that is only called wrongly. */
export interface RefusalWorld {
  instance: Instance;
  /** Makes a call, and expects a refusal and an unchanged Redis. Returns the text of the problem. */
  refused(
    expected: [status: number, code: string],
    method: string,
    path: string,
    options?: CallOptions,
  ): Promise<string>;
}

/**
 * useRefusalWorld starts the world before the tests of a file. After each test it expects that nothing was
 * bought, and that nothing unexpected happened.
 */
export function useRefusalWorld(): RefusalWorld {
  let redis: Redis;
  const world = {
    async refused([status, code], method, path, options) {
      const before = await storedIn(redis);
      const answer = await call(world.instance.url, method, path, options);
      expectProblem(answer, status, code);
      expect(await storedIn(redis)).toEqual(before);
      return (answer.body as { detail: string }).detail;
    },
  } as RefusalWorld;
  beforeAll(async () => {
    const instance = await startInstance({ http: { maxBodyMb: 1 } });
    world.instance = instance;
    redis = new Redis(instance.redis.url);
    // The worker has written its own keys once it has answered something.
    const { id } = await enqueue(instance.url, { question: 'Ready?' });
    await reached(instance.url, id, 'completed');
    await eventually(async () => expect(await redis.zscore(o3.queue('completed'), id)).not.toBeNull());
    instance.simulator.ledger.reset();
  });
  afterAll(async () => {
    redis.disconnect();
    await world.instance.stop();
  });
  afterEach(() => {
    const { simulator, logLines } = world.instance;
    expect(simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 0, polls: 0 });
    expect(logLines.splice(0).filter((line) => line.includes('unexpected'))).toEqual([]);
  });
  return world;
}

/** Without the short-lived keys of BullMQ's workers, and of a producer's test whether Redis takes writes. */
async function storedIn(redis: Redis): Promise<{ keys: string[]; jobs: number }> {
  // A worker writes the models of the upstream and the status of the queue by itself.
  const keys = (await redis.keys('*')).filter(
    (key) => !key.startsWith('o3q:{catalog}') && key !== o3.fairQueue('status'),
  );
  return {
    keys: keys.filter((key) => !/:(marker|stalled|stalled-check|ready)$/.test(key)).sort(),
    jobs: await redis.zcard(o3.index('all')),
  };
}

/** named names the rows of a table by the beginning of their first column, which may be long. */
export function named<Row extends [unknown, ...unknown[]]>(rows: Row[]): [string, ...Row][] {
  return rows.map((row) => [
    String(typeof row[0] === 'string' ? row[0] : JSON.stringify(row[0])).slice(0, 60),
    ...row,
  ]);
}
