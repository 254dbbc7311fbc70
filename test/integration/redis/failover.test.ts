import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, reached } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { openTcpProxy, type TcpProxy } from '../../support/redis/tcp-proxy.ts';
import { startInstance } from '../../support/worlds/instance.ts';

/** A managed Redis fails over behind one name: open connections stay with the old master, now a replica. */
let old: TestRedis;
let next: TestRedis;
let name: TcpProxy;
let admins: Redis[];

beforeEach(async () => {
  [old, next] = await Promise.all([startTestRedis(), startTestRedis()]);
  name = await openTcpProxy(old.url);
  admins = [new Redis(old.url), new Redis(next.url)];
  await admins[0]?.config('SET', 'repl-diskless-sync-delay', '0');
  await admins[1]?.call('REPLICAOF', '127.0.0.1', String(old.port));
  await eventually(async () =>
    expect(await admins[1]?.info('replication')).toContain('master_link_status:up'),
  );
});
afterEach(async () => {
  for (const admin of admins) admin.disconnect();
  await name.close();
  await Promise.all([old.stop(), next.stop()]);
});

it('producers and workers reach the new master without a restart, and running jobs are bought once', async () => {
  const instance = await startInstance({ redis: { ...old, url: name.url } });
  try {
    const { url } = instance;
    const running = await enqueue(url, { question: 'Before?', metadata: { sim_think_ms: '3000' } });
    await reached(url, running.id, 'active');
    await eventually(() => expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 }));
    await eventually(async () =>
      expect(await admins[1]?.hgetall(`o3q:run:{o3}:${running.id}`)).toHaveProperty('upstream_id'),
    );
    await admins[1]?.call('REPLICAOF', 'NO', 'ONE');
    await admins[0]?.call('REPLICAOF', '127.0.0.1', String(next.port));
    name.leadTo(next.url);
    await eventually(async () =>
      expect(await call(url, 'POST', '/jobs', { body: { question: 'After?' } })).toMatchObject({
        status: 202,
      }),
    );
    await reached(url, running.id, 'completed');
    await eventually(() =>
      expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 2, completed: 2 }),
    );
    expect(await call(url, 'GET', '/readyz')).toMatchObject({ status: 200 });
  } finally {
    await instance.stop();
  }
});
