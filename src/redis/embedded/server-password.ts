import { randomBytes } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from './process-identity.ts';

/**
 * passwordFileOf names the file with the password of the server in a data folder. Only the owner of the file
 * may read it.
 */
export function passwordFileOf(dataDir: string): string {
  return join(dataDir, 'password');
}

/** readPassword reads the password of a folder's server; undefined: the server has none yet. */
export async function readPassword(dataDir: string): Promise<string | undefined> {
  try {
    const text = (await readFile(passwordFileOf(dataDir), 'utf8')).trim();
    return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  } catch (error: unknown) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * makePassword returns the password of a folder's server, and makes one for a new folder. The password stays
 * the same over all starts, so that a URL stays valid. Only the owner of the folder may call it.
 */
export async function makePassword(dataDir: string): Promise<string> {
  const file = passwordFileOf(dataDir);
  const known = await readPassword(dataDir);
  const password = known ?? randomBytes(32).toString('hex');
  if (known === undefined) await writeFile(file, `${password}\n`, { mode: 0o600 });
  // The mode above is for new files only.
  await chmod(file, 0o600);
  return password;
}
