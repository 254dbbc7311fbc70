import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, Redis } from 'ioredis';
import { createAcknowledger, storedJob } from '../../../src/redis/ack/acknowledgement.ts';
import { connectRedis, type RedisClient, type RedisRole } from '../../../src/redis/connection.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { assertRedisUsable } from '../../../src/redis/usable.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestCluster, type TestCluster } from '../../support/redis/redis-cluster.ts';
import { serverOfThisMachine, startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const ROLES: readonly RedisRole[] = ['fail-fast', 'patient'];

let world: string;
let binary: string;
let servers: ChildProcess[];
let clients: RedisClient[];

beforeAll(async () => {
  world = mkdtempSync(join(tmpdir(), 'o3q-topology-'));
  servers = [];
  binary = (await resolveServer(serverOfThisMachine())).path;
});

afterAll(async () => {
  const ended = servers.map((server) => new Promise((resolve) => server.once('exit', resolve)));
  for (const server of servers) server.kill('SIGKILL');
  await Promise.all(ended);
  rmSync(world, { recursive: true, force: true });
});

beforeEach(() => {
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.disconnect();
});

async function startServer(port: number, args: readonly string[]): Promise<void> {
  servers.push(spawn(binary, args, { stdio: 'ignore', cwd: world }));
  const client = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  await client.ping().finally(() => client.disconnect());
}

async function connected(url: string, role: RedisRole, limitMs?: number): Promise<RedisClient> {
  const client = connectRedis(url, role, { onError: () => undefined });
  clients.push(client);
  await assertRedisUsable(client, url, {
    warn: (sentence) => {
      // The nodes of the cluster keep no files.
      if (!sentence.includes('appendonly no')) throw new Error(sentence);
    },
    ...(limitMs !== undefined && { timeoutMs: limitMs }),
  });
  return client;
}

describe('a master behind a sentinel', () => {
  let master: TestRedis;
  let url: string;

  beforeAll(async () => {
    master = await startTestRedis();
    const port = await findFreePort();
    const config = join(world, 'sentinel.conf');
    writeFileSync(
      config,
      `port ${port}\nbind 127.0.0.1\ndir "${world}"\nsentinel monitor main 127.0.0.1 ${master.port} 1\n`,
    );
    await startServer(port, [config, '--sentinel']);
    url = `redis+sentinel://127.0.0.1:${port}/main`;
  });

  afterAll(() => master.stop());

  it.each(ROLES)("a %s connection reaches the master through the sentinel's URL", async (role) => {
    const client = await connected(`${url}/2`, role);
    expect(await client.set(role, 'reached')).toBe('OK');
    const direct = await connected(`${master.url}/2`, 'fail-fast');
    expect(await direct.get(role)).toBe('reached');
  });

  it('a master name that the sentinel does not know is an error', async () => {
    const other = url.replace('/main', '/other');
    await expect(connected(other, 'fail-fast', 500)).rejects.toThrow(/sentinels are unreachable/);
  });

  it('a connection leaves a master that has become a replica and sends the command again', async () => {
    const client = await connected(url, 'patient');
    const admin = await connected(master.url, 'fail-fast');
    await admin.call('REPLICAOF', '127.0.0.1', String(await findFreePort()));
    const answer = client.set('key', 'after the failover');
    await eventually(() => expect(client.status).not.toBe('ready'));
    await admin.call('REPLICAOF', 'NO', 'ONE');
    expect(await answer).toBe('OK');
  });
});

describe('a cluster', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startTestCluster();
  });

  afterAll(() => cluster.stop());

  it.each(ROLES)('a %s connection reaches the cluster through the URL of a node', async (role) => {
    const client = await connected(cluster.url, role);
    expect(client).toBeInstanceOf(Cluster);
    expect(await client.set(`{one}${role}`, 'reached')).toBe('OK');
    expect(await client.get(`{one}${role}`)).toBe('reached');
  });

  it("a job is confirmed by its own model's node", async () => {
    for (const { admin } of cluster.nodes) {
      await admin.config('SET', 'appendonly', 'yes');
      await admin.config('SET', 'appendfsync', 'always');
    }
    const client = await connected(cluster.url, 'fail-fast');
    const keys = ['o3', 'mini'].map((model) => keysOf('o3q', model));
    await Promise.all(keys.map((of) => client.hset(of.job('job'), 'timestamp', '1')));
    const acknowledger = createAcknowledger({
      ...{ redisUrl: cluster.url, prefix: 'o3q', ack: 'disk', onError: () => {}, onWeak: () => {} },
    });
    try {
      await eventually(async () => {
        const reached = keys.map((of) => acknowledger.reached(storedJob(of, 'job')));
        expect(await Promise.all(reached)).toEqual(['disk', 'disk']);
      });
      expect(await acknowledger.reached(storedJob(keysOf('o3q', 'o3'), 'other'))).toBe('memory');
    } finally {
      acknowledger.close();
    }
  });

  it('a cluster that is not there is an error with the cause', async () => {
    const away = `redis+cluster://127.0.0.1:${await findFreePort()}`;
    await expect(connected(away, 'fail-fast', 500)).rejects.toThrow(/ECONNREFUSED|Connection is closed/);
  });
});
