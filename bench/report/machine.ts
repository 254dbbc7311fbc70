import { execFile } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { promisify } from 'node:util';

/** Machine names where and with what was measured. */
export interface Machine {
  cores: number;
  cpu: string;
  memoryGb: number;
  node: string;
  /** The average number of runnable processes in the minute before the start. */
  load: number;
  /** The commit of the project, with `+` if files have changed since; undefined outside a clone. */
  commit: string | undefined;
  /** ISO 8601. */
  startedAt: string;
}

/** Above this load for each core, other work takes a noticeable share of the machine. */
const HIGH_LOAD = 0.25;

export async function thisMachine(): Promise<Machine> {
  const [first] = cpus();
  return {
    cores: cpus().length,
    cpu: first?.model.trim() ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    load: loadavg()[0] ?? 0,
    commit: await commit(),
    startedAt: new Date().toISOString(),
  };
}

/** loadWarning returns a sentence for a machine that was busy at the start; undefined for a quiet one. */
export function loadWarning({ load, cores }: Machine): string | undefined {
  if (load <= HIGH_LOAD * cores) return undefined;
  return `The machine was busy at the start: load ${load.toFixed(2)} on ${cores} cores. Expect worse values.`;
}

async function commit(): Promise<string | undefined> {
  const git = promisify(execFile);
  try {
    const [head, changes] = await Promise.all([
      git('git', ['rev-parse', '--short', 'HEAD']),
      git('git', ['status', '--porcelain']),
    ]);
    return `${head.stdout.trim()}${changes.stdout.trim() === '' ? '' : '+'}`;
  } catch {
    return undefined;
  }
}
