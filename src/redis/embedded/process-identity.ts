import { readFile } from 'node:fs/promises';
import { runCommand } from './command.ts';

/** ProcessIdentity names a process, and distinguishes it from a later process with the same pid. */
export type ProcessIdentity = {
  readonly pid: number;
  /** An opaque string; absent if the system does not provide the start time. */
  readonly startedAt?: string;
};

export async function processIdentity(pid: number): Promise<ProcessIdentity> {
  const startedAt = (await statusFromProc(pid))?.startedAt ?? (await startFromPs(pid));
  return { pid, ...(startedAt !== undefined && { startedAt }) };
}

/**
 * isSameProcess says whether the process that `identity` names still lives. Without a start time it compares
 * the pid alone.
 */
export async function isSameProcess(identity: ProcessIdentity): Promise<boolean> {
  if (!isAlive(identity.pid)) return false;
  const status = await statusFromProc(identity.pid);
  // In a container without an init process, zombies are not reaped, and signal 0 still reaches them.
  if (status?.isZombie === true) return false;
  const startedAt = status?.startedAt ?? (await startFromPs(identity.pid));
  return identity.startedAt === undefined || startedAt === undefined || identity.startedAt === startedAt;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error: unknown) {
    // EPERM: the process lives and belongs to another user.
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
    // The second field, the program's name, may contain blanks and brackets, so the fields are counted after
    // it.
    const fieldsFromThird = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, ticks] = [fieldsFromThird[0], fieldsFromThird[22 - 3]];
    if (state === undefined || ticks === undefined) return undefined;
    // The start time counts from the boot, so the same pid and start time may occur again after a reboot. The
    // boot id is different then.
    return { isZombie: state === 'Z' || state === 'X', startedAt: `${bootId.trim()}:${ticks}` };
  } catch {
    return undefined;
  }
}

async function startFromPs(pid: number): Promise<string | undefined> {
  const outcome = await runCommand('ps', ['-o', 'lstart=', '-p', String(pid)], { timeoutMs: 5000 });
  return outcome.ok && outcome.output.trim() !== '' ? outcome.output.trim() : undefined;
}

/** hasCode says whether an error is the operating system's error of this name (ENOENT, EEXIST, ...). */
export function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
