import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { QUICK_RECOVERY, type WorkerWorld } from '../worlds/worker-world.ts';

/** ClockedChild is a process of ours with a wall clock of its own. */
interface ClockedChild {
  /** As the kernel does when memory is out: nothing in it hears of it. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Sets its clock: by how many milliseconds it is ahead from now on. */
  setClock(aheadMs: number): Promise<void>;
}

export type WorkerChild = ClockedChild;

export interface ProducerChild extends ClockedChild {
  url: string;
}

/**
 * A worker in a process of its own. Needs `npm run build`, which `npm test` does before it starts.
 * @param options.webhookSecret of the webhooks that it delivers. Default: none.
 * @param options.clockMs by how much its clock is ahead. Default 0.
 */
export async function startWorkerChild(
  world: WorkerWorld,
  { webhookSecret = '', clockMs = 0 }: { webhookSecret?: string; clockMs?: number } = {},
): Promise<WorkerChild> {
  const { lockMs, stalledMs } = QUICK_RECOVERY;
  const args = [world.redis.url, world.gate.url, String(lockMs), String(stalledMs), webhookSecret];
  return (await startChild('./worker-process.mjs', args, clockMs)).child;
}

/** A producer in a process of its own, with a clock that is ahead by `clockMs`. Needs `npm run build`. */
export async function startProducerChild(
  world: WorkerWorld,
  { clockMs }: { clockMs: number },
): Promise<ProducerChild> {
  const { child, said } = await startChild('../process/producer-process.mjs', [world.redis.url], clockMs);
  return { ...child, url: said };
}

async function startChild(
  script: string,
  args: readonly string[],
  clockMs: number,
): Promise<{ child: ClockedChild; said: string }> {
  const clock = join(__dirname, '../process/movable-clock.mjs');
  const child = spawn(process.execPath, ['--import', clock, join(__dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, O3_TEST_CLOCK_MS: String(clockMs) },
  });
  const lines: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  if (child.stdout === null) throw new Error('expected the child to have an output');
  const [first] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error(`expected ${script} to start, but it said: ${lines.join('')}`);
    }),
  ])) as [Buffer];
  const setClock = async (aheadMs: number): Promise<void> => {
    const moved = once(child, 'message');
    child.send(aheadMs);
    await moved;
  };
  return { child: { kill: () => killed(child), setClock }, said: first.toString() };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
