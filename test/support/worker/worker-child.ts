import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { QUICK_RECOVERY, type WorkerWorld } from '../worlds/worker-world.ts';

export interface WorkerChild {
  /** As the kernel does when memory is out: nothing in it hears of it. Resolves when it is gone. */
  kill(): Promise<void>;
  /** What it has written, also its log. */
  said(): string;
}

/**
 * A worker in a process of its own. Needs `npm run build`, which `npm test` does before it starts.
 * @param webhookSecret of the webhooks that it delivers. Default: none.
 * @param descriptors how many files it may open (only on Linux). Default: as many as this process.
 */
export async function startWorkerChild(
  world: WorkerWorld,
  { webhookSecret = '', descriptors }: { webhookSecret?: string; descriptors?: number } = {},
): Promise<WorkerChild> {
  const { lockMs, stalledMs } = QUICK_RECOVERY;
  const script = join(__dirname, './worker-process.mjs');
  const words = [world.redis.url, world.gate.url, lockMs, stalledMs, webhookSecret, descriptors ?? ''];
  const child = spawn(process.execPath, [script, ...words.map(String)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error(`expected a worker process to start, but it said: ${lines.join('')}`);
    }),
  ]);
  return { kill: () => killed(child), said: () => lines.join('') };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
