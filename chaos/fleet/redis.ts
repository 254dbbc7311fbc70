import { join } from 'node:path';
import { startEmbeddedRedis } from '../../src/redis/embedded/embedded-redis.ts';
import type { ResolutionOptions } from '../../src/redis/embedded/resolution-order.ts';
import { becomes } from './timing.ts';

/**
 * ChaosRedis is a Redis with an append-only file. It can be killed and started again on the same port and
 * data.
 */
export interface ChaosRedis {
  readonly url: string;
  /** Sends SIGKILL. Resolves when the server is gone. */
  kill(): Promise<void>;
  /** Resolves when the server accepts commands again. */
  restart(): Promise<void>;
  /** Sends a signal that does not end the server. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  stop(): Promise<void>;
}

/**
 * How long Redis may take to start again, in milliseconds. The operating system may still keep connections of
 * the dead server on its port.
 */
const RESTART_LIMIT_MS = 10_000;

export async function startChaosRedis(server: ResolutionOptions, folder: string): Promise<ChaosRedis> {
  const options = { ...server, dataDir: join(folder, 'redis'), appendOnly: true };
  let running = await startEmbeddedRedis(options);
  const { url, port } = running;
  let isRunning = true;
  return {
    url,
    async kill() {
      process.kill(running.pid, 'SIGKILL');
      isRunning = false;
      await running.exited;
    },
    async restart() {
      // Releases the folder, which is still marked as owned by the dead server.
      await running.stop();
      let reason: unknown;
      const again = async (): Promise<boolean> => {
        try {
          running = await startEmbeddedRedis({ ...options, choosePort: async () => port });
          isRunning = true;
          return true;
        } catch (error: unknown) {
          reason = error;
          return false;
        }
      };
      if (!(await becomes(again, RESTART_LIMIT_MS, new AbortController().signal))) {
        throw new Error(`Redis did not start again on port ${port}`, { cause: reason });
      }
    },
    signal: (signal) => void process.kill(running.pid, signal),
    async stop() {
      if (isRunning) process.kill(running.pid, 'SIGCONT');
      await running.stop();
    },
  };
}
