import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventually } from '../eventually.ts';
import { serverOfThisMachine, startTestRedis, type TestRedis } from './redis-server.ts';

export interface TestSentinels {
  /** `redis+sentinel://`, with the addresses of both sentinels. */
  readonly url: string;
  readonly master: TestRedis;
  readonly replica: TestRedis;
  /** A connection to the replica alone. */
  readonly replicaAdmin: Redis;
  /** Sends a signal to the sentinel that is named first in the URL. */
  killFirstSentinel(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

const START_LIMIT_MS = 30_000;
const DOWN_AFTER_MS = 1000;

/**
 * startTestSentinels starts a master, its replica and two sentinels. One sentinel decides alone that the
 * master is down, a second after the master's last answer, and needs the other to elect it for a failover.
 */
export async function startTestSentinels(): Promise<TestSentinels> {
  const [master, replica] = await Promise.all([startTestRedis(), startTestRedis()]);
  const replicaAdmin = new Redis(replica.url, { maxRetriesPerRequest: null });
  replicaAdmin.on('error', () => undefined);
  const masterAdmin = new Redis(master.url);
  await masterAdmin.config('SET', 'repl-diskless-sync-delay', '0');
  masterAdmin.disconnect();
  await replicaAdmin.call('REPLICAOF', '127.0.0.1', String(master.port));
  await eventually(
    async () => expect(await replicaAdmin.info('replication')).toContain('master_link_status:up'),
    START_LIMIT_MS,
  );
  const folder = await mkdtemp(join(tmpdir(), 'o3q-sentinel-'));
  const first = await startSentinel(folder, master.port);
  const second = await startSentinel(folder, master.port);
  const all = [first, second];
  for (const { admin } of all) {
    await eventually(async () => {
      const [state] = (await admin.call('SENTINEL', 'MASTERS')) as string[][];
      expect(fieldsOf(state)).toMatchObject({ 'num-slaves': '1', 'num-other-sentinels': '1' });
    }, START_LIMIT_MS);
  }
  return {
    url: `redis+sentinel://${all.map(({ port }) => `127.0.0.1:${port}`).join(',')}/main`,
    master,
    replica,
    replicaAdmin,
    killFirstSentinel: first.kill,
    async stop() {
      replicaAdmin.disconnect();
      await Promise.all([...all.map(({ end }) => end()), master.stop(), replica.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startSentinel(folder: string, masterPort: number) {
  const port = await findFreePort();
  const config = join(folder, `${port}.conf`);
  await writeFile(
    config,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir "${folder}"`,
      `sentinel monitor main 127.0.0.1 ${masterPort} 1`,
      `sentinel down-after-milliseconds main ${DOWN_AFTER_MS}`,
      'sentinel failover-timeout main 2000\n',
    ].join('\n'),
  );
  const { path } = await resolveServer(serverOfThisMachine());
  const server = spawn(path, [config, '--sentinel'], { stdio: 'ignore' });
  const admin = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
  admin.on('error', () => undefined);
  await admin.ping();
  return {
    port,
    admin,
    kill: (signal: NodeJS.Signals): void => {
      server.kill(signal);
    },
    async end(): Promise<void> {
      admin.disconnect();
      const exited = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGKILL');
      await exited;
    },
  };
}

function fieldsOf(pairs: readonly string[] = []): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < pairs.length; i += 2) fields[pairs[i] ?? ''] = pairs[i + 1] ?? '';
  return fields;
}
