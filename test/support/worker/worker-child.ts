import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Models } from '../../../src/config/file.ts';
import { QUICK_RECOVERY, type WorkerWorld } from '../worlds/worker-world.ts';

export interface WorkerChild {
  /** The lines that it has logged, as JSON. */
  logLines: readonly string[];
  /** Sends SIGSTOP, or SIGCONT to go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Keeps its event loop busy for so long, in milliseconds. */
  block(ms: number): void;
  /** As the kernel does when memory is out: nothing in it hears of it. Resolves when it is gone. */
  kill(): Promise<void>;
}

export interface WorkerChildOptions {
  /** The secret of the webhooks that it delivers. Default: it delivers none. */
  webhookSecret?: string;
  recovery?: { lockMs: number; stalledMs: number };
  /** Default: the built-in models. */
  models?: Models['models'];
}

/** A worker in a process of its own. Needs `npm run build`, which `npm test` does before it starts. */
export async function startWorkerChild(
  world: WorkerWorld,
  { recovery = QUICK_RECOVERY, ...options }: WorkerChildOptions = {},
): Promise<WorkerChild> {
  const script = join(__dirname, './worker-process.mjs');
  const settings = { redisUrl: world.redis.url, baseUrl: world.gate.url, recovery, ...options };
  const child = spawn(process.execPath, [script, JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const logLines: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => logLines.push(...chunk.toString().trimEnd().split('\n')));
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error(`expected a worker process to start, but it said: ${logLines.join('\n')}`);
    }),
  ]);
  return {
    logLines,
    signal: (signal) => void child.kill(signal),
    block: (ms) => void child.stdin.write(`${ms}\n`),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
