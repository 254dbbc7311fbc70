import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventuallyMatches } from '../eventually.ts';
import { serverOfThisMachine, startTestRedis, type TestRedis } from './redis-server.ts';

export interface TestSentinels {
  /** `redis+sentinel://`, with the addresses of all sentinels. */
  readonly url: string;
  readonly master: TestRedis;
  readonly replica: TestRedis;
  /** A connection to the replica alone. */
  readonly replicaAdmin: Redis;
  /** Sends a signal to the sentinel that is named first in the URL. */
  killFirstSentinel(signal: NodeJS.Signals): void;
  /** Asks the last sentinel of the URL for a failover now, though the master is well. */
  failOver(): Promise<void>;
  stop(): Promise<void>;
}

const START_LIMIT_MS = 60_000;

const DEAF_USER = 'deaf';

/**
 * startTestSentinels starts a master, its replica and sentinels. One sentinel decides alone that the master
 * is down, and needs a majority to elect it for a failover.
 *
 * @param sentinels Default 2, which must both live for a failover.
 * @param appendOnly whether the servers keep their data over a restart. Default false.
 * @param downAfterMs how long the master may be silent. Default 1000. On a busy machine a server that is well
 *   may be silent for a second.
 * @param deaf whether the URL begins with one more sentinel that never learns of a failover: it names the
 *   first master for good. Others do so for a moment. Default false.
 */
export async function startTestSentinels({
  sentinels = 2,
  appendOnly = false,
  downAfterMs = 1000,
  deaf = false,
} = {}): Promise<TestSentinels> {
  const [master, replica] = await Promise.all([
    startTestRedis({ appendOnly }),
    startTestRedis({ appendOnly }),
  ]);
  const replicaAdmin = new Redis(replica.url, { maxRetriesPerRequest: null });
  replicaAdmin.on('error', () => undefined);
  const masterAdmin = new Redis(master.url);
  await masterAdmin.config('SET', 'repl-diskless-sync-delay', '0');
  masterAdmin.disconnect();
  await replicaAdmin.call('REPLICAOF', '127.0.0.1', String(master.port));
  await eventuallyMatches(() => replicaAdmin.info('replication'), /master_link_status:up/, START_LIMIT_MS);
  const folder = await mkdtemp(join(tmpdir(), 'o3q-sentinel-'));
  const all = await Promise.all(
    Array.from({ length: sentinels }, () =>
      startSentinel(folder, master.port, [`sentinel down-after-milliseconds main ${downAfterMs}`]),
    ),
  );
  for (const { admin } of all) {
    const knows = async (): Promise<string> => {
      const [state] = (await admin.call('SENTINEL', 'MASTERS')) as string[][];
      const fields = fieldsOf(state);
      return `${fields['num-slaves']} replica, ${fields['num-other-sentinels']} other sentinels`;
    };
    await eventuallyMatches(knows, new RegExp(`^1 replica, ${sentinels - 1} other`), START_LIMIT_MS);
  }
  if (deaf) all.unshift(await startDeafSentinel(folder, [master, replica]));
  return {
    url: `redis+sentinel://${all.map(({ port }) => `127.0.0.1:${port}`).join(',')}/main`,
    master,
    replica,
    replicaAdmin,
    killFirstSentinel: (signal) => all[0]?.kill(signal),
    async failOver() {
      await all.at(-1)?.admin.call('SENTINEL', 'FAILOVER', 'main');
    },
    async stop() {
      replicaAdmin.disconnect();
      await Promise.all([...all.map(({ end }) => end()), master.stop(), replica.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sentinels tell each other of a failover through a channel of the servers, which this one may not use. */
async function startDeafSentinel(folder: string, [master, replica]: [TestRedis, TestRedis]) {
  for (const { url } of [master, replica]) {
    const server = new Redis(url);
    // It would also make the promoted server a replica again.
    const rights = ['~*', 'resetchannels', '+@all', '-replicaof', '-slaveof'];
    await server.call('ACL', 'SETUSER', DEAF_USER, 'on', `>${DEAF_USER}`, ...rights);
    server.disconnect();
  }
  return startSentinel(folder, master.port, [
    `sentinel auth-user main ${DEAF_USER}`,
    `sentinel auth-pass main ${DEAF_USER}`,
    'sentinel down-after-milliseconds main 600000',
  ]);
}

async function startSentinel(folder: string, masterPort: number, lines: readonly string[]) {
  const port = await findFreePort();
  const config = join(folder, `${port}.conf`);
  await writeFile(
    config,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir "${folder}"`,
      `sentinel monitor main 127.0.0.1 ${masterPort} 1`,
      'sentinel failover-timeout main 2000',
      ...lines,
      '',
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
