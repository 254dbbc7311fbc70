import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface FreshCopy {
  folder: string;
  remove(): Promise<void>;
}

/**
 * A copy of the repository after `git clone` and `npm ci`: the tracked files and the dependencies, without
 * builds.
 */
export async function makeFreshCopy(): Promise<FreshCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-clone-'));
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    encoding: 'utf8',
  });
  for (const file of listed.split('\0').filter((name) => name !== '')) {
    // A file that was deleted and not yet committed is still listed.
    await cp(file, join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
