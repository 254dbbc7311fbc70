import { Redis } from 'ioredis';
import { createAcknowledger, storedJob } from '../../../src/redis/ack/acknowledgement.ts';
import type { Ack } from '../../../src/redis/ack/level.ts';
import { connectRedis } from '../../../src/redis/connection.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { assertRedisUsable } from '../../../src/redis/usable.ts';
import { eventually, eventuallyMatches } from '../../support/eventually.ts';
import { call, reached } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** A replica that lives needs milliseconds; the rest is for a busy machine. */
const LIMIT_MS = 60_000;

let master: TestRedis;
let replica: TestRedis;
let admin: Redis;
let instance: Instance;

beforeAll(async () => {
  [master, replica] = await Promise.all([startTestRedis({ appendOnly: true }), startTestRedis()]);
  admin = new Redis(master.url);
  await admin.config('SET', 'repl-diskless-sync-delay', '0');
  const replicaAdmin = new Redis(replica.url);
  await replicaAdmin.call('REPLICAOF', '127.0.0.1', String(master.port));
  await eventuallyMatches(() => replicaAdmin.info('replication'), /master_link_status:up/, LIMIT_MS);
  replicaAdmin.disconnect();
  instance = await startInstance({ redis: master, ack: 'replica' });
});

afterAll(async () => {
  await replica.kill('SIGCONT');
  await instance.stop();
  admin.disconnect();
  await Promise.all([master.stop(), replica.stop()]);
});

/** Sends a request that accepts jobs. @returns its status and what its header says. */
async function ackOf(
  path: string,
  body: unknown,
  key?: string,
): Promise<[status: number, ack: string | null]> {
  const response = await fetch(new URL(path, instance.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) },
    body: JSON.stringify(body),
  });
  await response.text();
  return [response.status, response.headers.get('o3q-ack')];
}

const jobs = { jobs: [{ question: 'One?' }, { question: 'Two?' }] };
const background = { model: 'o3', input: 'Why?', background: true };

describe('O3Q_ACK=replica', () => {
  it('says in the header of each answer that accepts jobs that the replica has them', async () => {
    // A replica confirms within the time of a wait, except on a machine that stands still.
    await eventually(async () => {
      expect(await ackOf('/jobs', { question: 'Why?' })).toEqual([202, 'replica']);
      expect(await ackOf('/jobs/bulk', jobs)).toEqual([207, 'replica']);
      expect(await ackOf('/v1/responses', background)).toEqual([200, 'replica']);
    }, LIMIT_MS);
    expect(await ackOf('/jobs/bulk', { jobs: [{}] })).toEqual([207, null]);
  });

  it('shares a wait among many calls, on a connection that does nothing else', async () => {
    await replica.kill('SIGSTOP');
    const waitsBefore = await waitsOf(admin);
    const calls = Array.from({ length: 40 }, (_, i) => ackOf('/jobs', { question: `Number ${i}?` }));
    expect(await Promise.all(calls)).toEqual(calls.map(() => [202, 'memory']));
    const waits = (await waitsOf(admin)) - waitsBefore;
    expect(waits).toBeGreaterThan(0);
    expect(waits).toBeLessThan(40);
    const waiting = String(await admin.client('LIST'))
      .split('\n')
      .filter((client) => client.includes('cmd=wait '));
    expect(waiting.filter((client) => !client.includes('name=o3q:ack '))).toEqual([]);
    const said = instance.logLines.filter((line) => line.includes('less than O3Q_ACK asks for'));
    expect(said.join()).toContain('no replica has confirmed it within 1500 ms');
  });

  it('confirms the job of a key anew when the call is repeated after its connection broke', async () => {
    const ask = { question: 'Again?' };
    const broken = new AbortController();
    const first = fetch(new URL('/jobs', instance.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'again' },
      body: JSON.stringify(ask),
      signal: broken.signal,
    });
    const stored = eventually(async () =>
      expect(await call(instance.url, 'GET', '/jobs?q=Again')).toMatchObject({
        body: { jobs: [expect.objectContaining({ question: 'Again?' })] },
      }),
    );
    await Promise.race([stored, first]);
    broken.abort();
    await first.catch(() => {});
    await replica.kill('SIGCONT');
    await eventually(
      async () => expect(await ackOf('/jobs', ask, 'again')).toEqual([200, 'replica']),
      LIMIT_MS,
    );
  });

  it('does not confirm a job that the server does not have, as after a failover', async () => {
    const reasons: string[] = [];
    const acknowledger = createAcknowledger({
      ...{ redisUrl: master.url, prefix: 'o3q', ack: 'replica', onError: () => {} },
      onWeak: (reason) => reasons.push(reason),
    });
    try {
      expect(await acknowledger.reached(storedJob(keysOf('o3q', 'o3'), 'lost'))).toBe('memory');
    } finally {
      acknowledger.close();
    }
    expect(reasons).toEqual([expect.stringMatching(/does not have the write|no replica/)]);
  });
});

describe('O3Q_ACK=disk', () => {
  it('is reached when the server flushes each write, and not when it does not', async () => {
    const { body } = await call(instance.url, 'POST', '/jobs', { body: { question: 'To disk?' } });
    const { id } = body as { id: string };
    const acknowledger = createAcknowledger({
      ...{ redisUrl: master.url, prefix: 'o3q', ack: 'disk', onError: () => {}, onWeak: () => {} },
    });
    const job = storedJob(keysOf('o3q', 'o3'), id);
    try {
      await admin.config('SET', 'appendfsync', 'always');
      await eventually(async () => expect(await acknowledger.reached(job)).toBe('disk'), LIMIT_MS);
      await admin.config('SET', 'appendfsync', 'no');
      expect(await acknowledger.reached(job)).toBe('memory');
    } finally {
      acknowledger.close();
      await admin.config('SET', 'appendfsync', 'everysec');
    }
  });

  it('is refused at the start by a server that cannot keep it, with what to do', async () => {
    await admin.config('SET', 'appendonly', 'no');
    await expect(startsWith('disk', master.url)).rejects.toThrow(
      `O3Q_ACK=disk cannot be kept with Redis at ${master.url}: its append-only file is off. Switch it on`,
    );
    await admin.config('SET', 'appendonly', 'yes');
    await admin.config('SET', 'appendfsync', 'always');
    await startsWith('disk', master.url);
    await admin.config('SET', 'appendfsync', 'everysec');
    const info = await admin.info('server');
    if (/redis_version:[89]\./.test(info) && !info.includes('valkey')) return startsWith('disk', master.url);
    await expect(startsWith('disk', master.url)).rejects.toThrow(
      /Redis 8\.0 or newer, or appendfsync always, was expected, and this server is \w+ [\d.]+ with another appendfsync/,
    );
  });
});

it('O3Q_ACK=memory makes no connection for it', async () => {
  const plain = await startInstance({ redis: master });
  try {
    const names = async (): Promise<number> =>
      String(await admin.client('LIST')).split('name=o3q:ack ').length;
    const before = await names();
    const { body, headers } = await call(plain.url, 'POST', '/jobs', { body: { question: 'In memory?' } });
    await reached(plain.url, (body as { id: string }).id, 'completed');
    expect(headers['o3q-ack']).toBe('memory');
    expect(await names()).toBe(before);
  } finally {
    await plain.stop();
  }
});

async function startsWith(ack: Ack, url: string): Promise<void> {
  const client = connectRedis(url, 'fail-fast', { onError: () => {} });
  try {
    await assertRedisUsable(client, url, { warn: () => {}, prefix: 'o3q', ack });
  } finally {
    client.disconnect();
  }
}

/** Returns how many times a server was asked to WAIT. */
async function waitsOf(server: Redis): Promise<number> {
  const [, calls = '0'] = /^cmdstat_wait:calls=(\d+)/m.exec(await server.info('commandstats')) ?? [];
  return Number(calls);
}
