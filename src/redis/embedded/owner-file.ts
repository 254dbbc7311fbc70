import { readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisUnavailableError } from '../../errors/setup-error.ts';
import { askLocalPort } from './local-port.ts';
import { hasCode, isSameProcess, type ProcessIdentity, processIdentity } from './process-identity.ts';
import { passwordFileOf, readPassword } from './server-password.ts';

/**
 * Owner is the process that runs the server of a data folder. It writes the port to the owner file before it
 * starts the server on that port.
 */
type Owner = ProcessIdentity & { readonly port?: number };

/** Ownership is a data folder that this process owns. */
export type Ownership = {
  setPort(port: number): Promise<void>;
  release(): Promise<void>;
};

/** How long a stopped server may take to write its last second to disk, in milliseconds. */
const OLD_SERVER_LIMIT_MS = 15_000;
const POLL_MS = 20;
/**
 * An unfinished owner file or a takeover that is older than this, in milliseconds, was abandoned. Writing the
 * file takes microseconds, and a takeover takes milliseconds.
 */
const ABANDONED_AFTER_MS = 5_000;

/**
 * takeOwnership makes this process the only owner of the folder, until it releases the folder or ends.
 * Without an owner file, two servers on one append-only file would lose each other's writes without any
 * error.
 * @param dataDir the real path of the folder, as its server reports it.
 * @throws RedisUnavailableError when a living process owns the folder, or when the server of a dead owner
 * does not end.
 */
export async function takeOwnership(dataDir: string): Promise<Ownership> {
  const file = join(dataDir, 'owner.json');
  const self = await processIdentity(process.pid);
  for (;;) {
    if (await createExclusively(file, JSON.stringify(self))) return ownershipOf(file, self);
    const text = await readIfThere(file);
    if (text === undefined) continue;
    const owner = parseOwner(text);
    if (owner === undefined && (await ageMs(file)) < ABANDONED_AFTER_MS) {
      await delay(POLL_MS);
      continue;
    }
    if (owner !== undefined && (await isSameProcess(owner))) throw ownedByAnother(owner, dataDir);
    // The dead owner's server lives a moment longer: it stops when its pipe ends. The wait comes before the
    // takeover, so that a process that gives up here leaves the owner file in place, and the next process
    // waits too.
    if (owner?.port !== undefined) await untilOldServerIsGone(owner.port, dataDir);
    if (await takeOver(file, text, self)) return ownershipOf(file, self);
    await delay(POLL_MS);
  }
}

/**
 * Several processes may find the same dead owner, and the slowest must not remove the file of the quickest.
 * So only one process at a time takes over, under a lock, and only while the file still names the dead owner.
 */
async function takeOver(file: string, deadOwner: string, self: ProcessIdentity): Promise<boolean> {
  const lock = `${file}.takeover`;
  if (!(await createExclusively(lock, JSON.stringify(self)))) {
    if ((await ageMs(lock)) > ABANDONED_AFTER_MS) await rm(lock, { force: true });
    return false;
  }
  try {
    if ((await readIfThere(file)) !== deadOwner) return false;
    await replace(file, self);
    return true;
  } finally {
    await rm(lock, { force: true });
  }
}

function ownershipOf(file: string, self: ProcessIdentity): Ownership {
  return {
    setPort: (port) => replace(file, { ...self, port }),
    // The file is missing when the data folder was deleted, as tests do.
    release: () => unlink(file).catch(() => undefined),
  };
}

async function untilOldServerIsGone(port: number, dataDir: string): Promise<void> {
  const password = await readPassword(dataDir);
  const deadlineMs = Date.now() + OLD_SERVER_LIMIT_MS;
  for (;;) {
    const holder = await askLocalPort(port, password);
    // Another program may have the port by now. Only a server of this folder is in the way.
    const inTheWay = holder.kind === 'silent' || (holder.kind === 'redis' && holder.dataDir === dataDir);
    if (!inTheWay) return;
    if (Date.now() > deadlineMs) {
      const pid =
        holder.kind === 'redis' ? `pid ${holder.pid}` : 'it accepts connections but does not answer';
      throw new RedisUnavailableError(
        `The process that ran the embedded Redis of ${dataDir} is gone, but port ${port} is still in use ` +
          `(${pid}). End the process that listens there, then start again; ` +
          'two servers on one folder would lose data.',
      );
    }
    await delay(POLL_MS);
  }
}

function ownedByAnother(owner: Owner, dataDir: string): RedisUnavailableError {
  const subject = owner.pid === process.pid ? 'This process' : 'Another process';
  const who = `${subject} (pid ${owner.pid}) already runs the embedded Redis of ${dataDir}`;
  return new RedisUnavailableError(
    owner.port === undefined
      ? `${who}; it is just starting. Wait for it, or stop it.`
      : `${who} on port ${owner.port}. ` +
          `To share it, start this one with REDIS_URL=redis://:PASSWORD@127.0.0.1:${owner.port}, with the password ` +
          `in ${passwordFileOf(dataDir)}`,
  );
}

function parseOwner(text: string): Owner | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value)) return undefined;
    if (typeof value.pid !== 'number' || !Number.isInteger(value.pid) || value.pid < 1) return undefined;
    const startedAt =
      'startedAt' in value && typeof value.startedAt === 'string' ? value.startedAt : undefined;
    const port = 'port' in value && typeof value.port === 'number' ? value.port : undefined;
    return {
      pid: value.pid,
      ...(startedAt !== undefined && { startedAt }),
      ...(port !== undefined && { port }),
    };
  } catch {
    return undefined;
  }
}

async function createExclusively(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error: unknown) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  });
}

/** A reader sees the old text or the new one, never half of it. */
async function replace(file: string, owner: Owner): Promise<void> {
  const next = `${file}.${process.pid}`;
  await writeFile(next, JSON.stringify(owner), { mode: 0o600 });
  await rename(next, file);
}

async function ageMs(file: string): Promise<number> {
  return stat(file).then(
    (found) => Date.now() - found.mtimeMs,
    () => 0,
  );
}
