import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventually, eventuallyMatches } from '../eventually.ts';
import { serverOfThisMachine } from './redis-server.ts';

export interface TestCluster {
  /** `redis+cluster://`, with the addresses of all nodes. */
  url: string;
  /** The masters in the order of their slots, then the replica. */
  nodes: readonly ClusterNode[];
  stop(): Promise<void>;
}

export interface ClusterNode {
  readonly port: number;
  /** A connection to this node alone. */
  readonly admin: Redis;
  kill(signal: NodeJS.Signals): void;
  /** Starts the node again on its port and its folder, after it was killed. */
  restart(): Promise<void>;
}

const SLOTS = 16_384;
const START_LIMIT_MS = 60_000;

/**
 * startTestCluster starts a cluster, which refuses commands over several slots.
 *
 * @param masters Default 1, which cannot fail over. With 3 one of them has a replica, which takes its place
 *   about a second after it has gone silent.
 * @param replicated which of three masters has the replica. Default 0.
 */
export async function startTestCluster({ masters = 1, replicated = 0 } = {}): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-cluster-'));
  const { path } = await resolveServer(serverOfThisMachine());
  const count = masters === 1 ? 1 : masters + 1;
  const started = await Promise.all(Array.from({ length: count }, () => startNode(path, folder)));
  const nodes = started.map(({ node }) => node);
  const leaders = nodes.slice(0, masters);

  const share = Math.ceil(SLOTS / masters);
  for (const [i, { admin }] of leaders.entries()) {
    const last = Math.min((i + 1) * share, SLOTS) - 1;
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', String(i * share), String(last));
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
  }
  for (const { busPort, node } of started.slice(1)) {
    await nodes[0]?.admin.call('CLUSTER', 'MEET', '127.0.0.1', String(node.port), String(busPort));
  }
  const master = String(await nodes[replicated]?.admin.call('CLUSTER', 'MYID'));
  const replica = nodes[masters]?.admin;
  if (replica !== undefined) {
    await eventually(() => replica.call('CLUSTER', 'REPLICATE', master), START_LIMIT_MS);
    await eventuallyMatches(() => replica.info('replication'), /master_link_status:up/, START_LIMIT_MS);
  }
  for (const { admin } of nodes) {
    await eventuallyMatches(
      () => admin.call('CLUSTER', 'INFO'),
      new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${count}`),
      START_LIMIT_MS,
    );
  }

  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    async stop() {
      await Promise.all(started.map(({ end }) => end()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface StartedNode {
  readonly node: ClusterNode;
  readonly busPort: number;
  end(): Promise<void>;
}

async function startNode(binary: string, folder: string): Promise<StartedNode> {
  const port = await findFreePort();
  // The bus would otherwise be at port + 10000, which may not exist.
  const busPort = await findFreePort();
  const args = [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    ...['--cluster-enabled', 'yes', '--cluster-config-file', `nodes-${port}.conf`],
    ...['--cluster-port', String(busPort), '--cluster-announce-ip', '127.0.0.1'],
    ...['--cluster-node-timeout', '1000', '--cluster-replica-validity-factor', '0'],
    ...['--repl-diskless-sync-delay', '0', '--dbfilename', `${port}.rdb`],
  ];
  let server = spawn(binary, args, { stdio: 'ignore' });
  const admin = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null });
  admin.on('error', () => undefined);
  return {
    busPort,
    node: {
      port,
      admin,
      kill: (signal) => void server.kill(signal),
      async restart() {
        await killed(server);
        server = spawn(binary, args, { stdio: 'ignore' });
        await admin.ping();
      },
    },
    async end() {
      admin.disconnect();
      await killed(server);
    },
  };
}

async function killed(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await exited;
}
