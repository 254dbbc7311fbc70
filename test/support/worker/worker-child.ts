import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Models } from '../../../src/config/file.ts';
import type { Recovery } from '../../../worker/job-worker.ts';
import { eventually } from '../eventually.ts';
import type { WorkerWorld } from '../worlds/worker-world.ts';

/** WorkerChild is a worker in a process of its own, with a wall clock of its own. */
export interface WorkerChild {
  /** Sends SIGSTOP, or SIGCONT to go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Keeps its event loop busy for so long, in milliseconds. */
  block(ms: number): void;
  /** As the kernel does when memory is out: nothing in it hears of it. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Sets its clock: by how many milliseconds it is ahead from now on. */
  setClock(aheadMs: number): Promise<void>;
  /** Resolves when its process has ended. */
  readonly exited: Promise<unknown>;
  /** What it has written, also its log. */
  said(): string;
}

export interface WorkerChildOptions {
  /** The secret of the webhooks that it delivers. Default: it delivers none. */
  webhookSecret?: string;
  /** How many files it may open (only on Linux). Default: as many as this process. */
  descriptors?: number;
  /** By how many milliseconds its clock is ahead. Default 0. */
  clockMs?: number;
  /** Default: as in production. */
  recovery?: Recovery;
  /**
   * Whether it is killed right after the step in which it takes jobs from another worker, and before it knows
   * of them. Default false.
   */
  diesOfTakeover?: boolean;
  /** The upstream. Default: the gate of the world. */
  baseUrl?: string;
  /** Default: the built-in models. */
  models?: Models['models'];
}

/** Starts a worker in a process of its own. Needs `npm run build`, which `npm test` does before it starts. */
export function startWorkerChild(
  world: WorkerWorld,
  { clockMs = 0, ...options }: WorkerChildOptions = {},
): Promise<WorkerChild> {
  const settings = { redisUrl: world.redis.url, baseUrl: world.gate.url, ...options };
  return startChild('./worker-process.mjs', [JSON.stringify(settings)], clockMs);
}

/** Starts a producer in a process of its own, with a clock that is ahead. Needs `npm run build`. */
export async function startProducerChild(
  world: WorkerWorld,
  { clockMs }: { clockMs: number },
): Promise<{ url: string; kill(): Promise<void> }> {
  const child = await startChild('../process/producer-process.mjs', [world.redis.url], clockMs);
  const url = await eventually(async () => {
    const [, found] = /^ready on (\S+)$/m.exec(child.said()) ?? [];
    if (found === undefined)
      throw new Error(`expected the address of a producer, but it said: ${child.said()}`);
    return found;
  });
  return { url, kill: child.kill };
}

/** Resolves when the child has written its first text. */
async function startChild(script: string, args: readonly string[], clockMs: number): Promise<WorkerChild> {
  const clock = join(__dirname, '../process/movable-clock.mjs');
  const child = spawn(process.execPath, ['--import', clock, join(__dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, O3_TEST_CLOCK_MS: String(clockMs) },
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('expected the child to have an output');
  const lines: string[] = [];
  for (const output of [stdout, stderr]) output.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  await Promise.race([
    once(stdout, 'data'),
    once(child, 'exit').then(() => {
      throw new Error(`expected ${script} to start, but it said: ${lines.join('')}`);
    }),
  ]);
  return {
    exited: child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve(),
    signal: (signal) => void child.kill(signal),
    block: (blockMs) => void child.send({ blockMs }),
    kill: () => killed(child),
    said: () => lines.join(''),
    async setClock(aheadMs) {
      const moved = once(child, 'message');
      child.send(aheadMs);
      await moved;
    },
  };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
