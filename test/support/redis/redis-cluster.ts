import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventually } from '../eventually.ts';
import { serverOfThisMachine } from './redis-server.ts';

export interface TestCluster {
  /** `redis+cluster://` */
  url: string;
  stop(): Promise<void>;
}

/** A cluster of one node, which refuses commands over several slots like any cluster. */
export async function startTestCluster(): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-cluster-'));
  const { path } = await resolveServer(serverOfThisMachine());
  const port = await findFreePort();
  // The bus would otherwise be at port + 10000, which may not exist.
  const busPort = await findFreePort();
  const server = spawn(
    path,
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      ...[
        '--cluster-enabled',
        'yes',
        '--cluster-port',
        String(busPort),
        '--cluster-announce-ip',
        '127.0.0.1',
      ],
    ],
    { stdio: 'ignore' },
  );
  const exited = new Promise((resolve) => server.once('exit', resolve));
  const admin = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
  admin.on('error', () => undefined);
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await eventually(async () => expect(await admin.call('CLUSTER', 'INFO')).toContain('cluster_state:ok'));
  admin.disconnect();
  return {
    url: `redis+cluster://127.0.0.1:${port}`,
    async stop() {
      server.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
