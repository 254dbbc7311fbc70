import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventuallyMatches } from '../eventually.ts';
import { serverOfThisMachine } from './redis-server.ts';

/**
 * The certificate of the servers of these tests, for 127.0.0.1 and localhost, which is its own authority. It
 * was made with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500
 * -subj "/CN=o3-queue test" -addext "subjectAltName=IP:127.0.0.1,DNS:localhost"`.
 */
export const CERTIFICATE = join(__dirname, 'tls/certificate.pem');
const KEY = join(__dirname, 'tls/key.pem');

/** TlsRedis is a Redis that speaks TLS only, between its servers too. */
export interface TlsRedis {
  readonly url: string;
  stop(): Promise<void>;
}

/** startTlsRedis starts one server, a sentinel and its master, or a cluster of one node. */
export async function startTlsRedis(kind: 'single' | 'sentinel' | 'cluster'): Promise<TlsRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-tls-'));
  const { path } = await resolveServer(serverOfThisMachine());
  const servers: ChildProcess[] = [];
  const start = async (args: readonly string[] = [], settings = ''): Promise<Server> => {
    const port = await findFreePort();
    const config = join(folder, `${port}.conf`);
    await writeFile(config, `${configOf(port, folder)}\n${settings}\n`);
    servers.push(spawn(path, [config, ...args], { stdio: 'ignore' }));
    const admin = new Redis({
      host: '127.0.0.1',
      port,
      tls: { ca: readFileSync(CERTIFICATE) },
      maxRetriesPerRequest: null,
    });
    admin.on('error', () => {});
    await admin.ping();
    return { port, admin };
  };
  const started = await startAll(kind, start);
  return {
    url: started.url,
    async stop() {
      for (const { admin } of started.servers) admin.disconnect();
      const ended = servers.map((server) => new Promise((resolve) => server.once('exit', resolve)));
      for (const server of servers) server.kill('SIGKILL');
      await Promise.all(ended);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Server {
  port: number;
  admin: Redis;
}

async function startAll(
  kind: 'single' | 'sentinel' | 'cluster',
  start: (args?: readonly string[], settings?: string) => Promise<Server>,
): Promise<{ url: string; servers: Server[] }> {
  if (kind === 'cluster') {
    const busPort = await findFreePort();
    const node = await start(['--cluster-enabled', 'yes', '--cluster-port', String(busPort)]);
    await node.admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await eventuallyMatches(() => node.admin.call('CLUSTER', 'INFO'), /cluster_state:ok/);
    return { url: `rediss+cluster://127.0.0.1:${node.port}`, servers: [node] };
  }
  const master = await start();
  if (kind === 'single') return { url: `rediss://127.0.0.1:${master.port}`, servers: [master] };
  const sentinel = await start(['--sentinel'], `sentinel monitor main 127.0.0.1 ${master.port} 1`);
  return { url: `rediss+sentinel://127.0.0.1:${sentinel.port}/main`, servers: [master, sentinel] };
}

function configOf(port: number, folder: string): string {
  return [
    ...['port 0', `tls-port ${port}`, 'bind 127.0.0.1', `dir "${folder}"`, 'save ""'],
    ...[`tls-cert-file "${CERTIFICATE}"`, `tls-key-file "${KEY}"`, `tls-ca-cert-file "${CERTIFICATE}"`],
    ...['tls-auth-clients no', 'tls-replication yes', 'tls-cluster yes', 'cluster-announce-ip 127.0.0.1'],
  ].join('\n');
}
