import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../../src/redis/embedded/embedded-redis.ts';
import { type ResolutionOptions, resolveServer } from '../../../src/redis/embedded/resolution-order.ts';
import { eventually } from '../eventually.ts';

export type TestRedis = {
  readonly url: string;
  readonly port: number;
  /** The process of the server; another one after a restart. */
  readonly pid: number;
  /** Sends a signal to the server. Resolves when it is gone, at once for SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts the server again on its folder and port, after kill() or stopping the running one. */
  restart(): Promise<void>;
  /** Ends the server and deletes its folder. */
  stop(): Promise<void>;
};

/** Finds a server on this machine by the variables that the product reads too. */
export function serverOfThisMachine(): ResolutionOptions {
  const binary = process.env['O3Q_REDIS_BIN'];
  return {
    ...(binary !== undefined && { binary }),
    download: process.env['O3Q_REDIS_DOWNLOAD'] !== '0',
    log: (line) => process.stderr.write(`${line}\n`),
  };
}

export async function resolveTestServer(): Promise<void> {
  await resolveServer(serverOfThisMachine());
}

/**
 * A private server in a temporary folder.
 * @param appendOnly whether it keeps its data over kill() and restart(). Default false.
 */
export async function startTestRedis({ appendOnly = false } = {}): Promise<TestRedis> {
  const dataDir = await mkdtemp(join(tmpdir(), 'o3q-redis-'));
  const options = { ...serverOfThisMachine(), dataDir, appendOnly };
  let server: EmbeddedRedis = await startEmbeddedRedis(options);
  const { url, port } = server;

  return {
    url,
    port,
    get pid() {
      return server.pid;
    },
    async kill(signal) {
      process.kill(server.pid, signal);
      if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await server.exited;
    },
    async restart() {
      await server.stop();
      // The system may still hold connections of the dead server on that port.
      server = await eventually(() => startEmbeddedRedis({ ...options, choosePort: async () => port }));
    },
    async stop() {
      wake(server.pid);
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

// A server stopped by SIGSTOP could not obey.
function wake(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // Already gone.
  }
}
