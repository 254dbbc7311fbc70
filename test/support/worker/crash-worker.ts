import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { WorkerOptions } from '../../../worker/worker.ts';

/** A worker in a process of its own that holds each job at a place of its own, see dying-worker.mjs. */
export interface CrashWorker {
  /** What has happened to the job with this number, oldest first. */
  trail(number: number): readonly string[];
  isHeld(number: number): boolean;
  /** As SIGTERM does. */
  leave(): void;
  /** As the kernel does. Resolves when it is gone. */
  kill(): Promise<void>;
}

/** One place that a job has passed, or was held at. */
interface Passage {
  number: number;
  name: string;
  held: boolean;
}

interface CrashWorkerOptions extends Omit<WorkerOptions, 'logger'> {
  /**
   * Whether the lock of each job runs out between the end of its record and the first call that tells BullMQ
   * of it.
   */
  runsOutOfLocks: boolean;
}

/** Needs `npm run build`, which `npm test` does before it starts. */
export async function startCrashWorker(options: CrashWorkerOptions): Promise<CrashWorker> {
  const script = join(__dirname, './dying-worker.mjs');
  const child = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const trails = new Map<number, string[]>();
  const held = new Set<number>();
  const lines = createInterface(child.stdout);
  await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`expected a worker process to start, but it ended with ${String(code)}`);
    }),
  ]);
  lines.on('line', (line) => {
    // Log lines have none of these fields.
    const { number, name, held: isHeld } = JSON.parse(line) as Partial<Passage>;
    if (number === undefined || name === undefined) return;
    trails.set(number, [...(trails.get(number) ?? []), name]);
    if (isHeld) held.add(number);
  });
  return {
    trail: (number) => trails.get(number) ?? [],
    isHeld: (number) => held.has(number),
    leave: () => void child.stdin.write('leave\n'),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
