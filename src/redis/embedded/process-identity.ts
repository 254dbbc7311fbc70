import { readFile } from 'node:fs/promises';
import { runCommand } from './command.ts';
import { hasCode } from './system-error.ts';

/** A process, told apart from a later one that was given the same number. */
export type ProcessIdentity = {
  readonly pid: number;
  /** Opaque; absent where the system does not tell. */
  readonly startedAt?: string;
};

export async function processIdentity(pid: number): Promise<ProcessIdentity> {
  const startedAt = (await statusFromProc(pid))?.startedAt ?? (await startFromPs(pid));
  return { pid, ...(startedAt !== undefined && { startedAt }) };
}

/** Whether this very process still lives. Without a start time the number alone must do. */
export async function isSameProcess(identity: ProcessIdentity): Promise<boolean> {
  if (!isAlive(identity.pid)) return false;
  const status = await statusFromProc(identity.pid);
  // In a container without an init nobody buries the dead, and signal 0 still reaches them.
  if (status?.isZombie === true) return false;
  const startedAt = status?.startedAt ?? (await startFromPs(identity.pid));
  return identity.startedAt === undefined || startedAt === undefined || identity.startedAt === startedAt;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error: unknown) {
    // EPERM: it lives, and belongs to another user.
    return hasCode(error, 'EPERM');
  }
}

type ProcStatus = { readonly isZombie: boolean; readonly startedAt: string };

async function statusFromProc(pid: number): Promise<ProcStatus | undefined> {
  try {
    const [bootId, text] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The second field, the program's name, may hold blanks and brackets: count from behind it.
    const fieldsFromThird = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, ticks] = [fieldsFromThird[0], fieldsFromThird[22 - 3]];
    if (state === undefined || ticks === undefined) return undefined;
    // The start is counted from the boot, so after a restart of the machine number and start may repeat.
    return { isZombie: state === 'Z' || state === 'X', startedAt: `${bootId.trim()}:${ticks}` };
  } catch {
    return undefined;
  }
}

async function startFromPs(pid: number): Promise<string | undefined> {
  const outcome = await runCommand('ps', ['-o', 'lstart=', '-p', String(pid)], { timeoutMs: 5000 });
  return outcome.ok && outcome.output.trim() !== '' ? outcome.output.trim() : undefined;
}
