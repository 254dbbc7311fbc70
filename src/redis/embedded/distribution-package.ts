import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type Apt,
  AptError,
  type AptTools,
  createApt,
  fetchPrivateIndex,
  systemIndexOptions,
} from './apt.ts';
import { runCommand } from './command.ts';
import { inspectServerBinary, isOldRedis, OLDEST_REDIS, type ServerBinary } from './server-binary.ts';

export type DistributionPackageOptions = {
  readonly tools: AptTools;
  readonly cacheDir: string;
  readonly log: (line: string) => void;
};

const PRIVATE_PREFIX = '.unpacking-';
const ABANDONED_AFTER_MS = 60 * 60_000;

/**
 * unpackDistributionPackage unpacks the distribution's own server into the cache. apt checks the signatures.
 * The function needs no root, installs nothing system-wide and starts no service.
 * @throws AptError or the file system's error, with the reason.
 */
export async function unpackDistributionPackage(options: DistributionPackageOptions): Promise<ServerBinary> {
  const cacheDir = resolve(options.cacheDir);
  options.log(
    `[redis] no Redis found; fetching your distribution's own package into ${options.cacheDir} ` +
      '(nothing is installed system-wide)',
  );
  await mkdir(cacheDir, { recursive: true });
  await removeAbandoned(cacheDir);
  const privateFolder = await mkdtemp(join(cacheDir, PRIVATE_PREFIX));
  try {
    const unpacked = await fetchWithAnyIndex(privateFolder, options);
    return await moveIntoPlace(unpacked, cacheDir);
  } finally {
    await rm(privateFolder, { recursive: true, force: true });
  }
}

async function fetchWithAnyIndex(
  privateFolder: string,
  options: DistributionPackageOptions,
): Promise<Unpacked> {
  const isRoot = process.getuid?.() === 0;
  const systemIndex = createApt(options.tools, systemIndexOptions(isRoot));
  try {
    return await fetchFrom(systemIndex, join(privateFolder, 'system'), options);
  } catch (error: unknown) {
    // There is no index (as in a container), or it names packages that the mirror has replaced since.
    if (!(error instanceof AptError)) throw error;
    options.log('[redis] reading the package index of your distribution (no root needed)');
    const { options: aptOptions, complaint } = await fetchPrivateIndex(options.tools, privateFolder, isRoot);
    const freshIndex = createApt(options.tools, aptOptions);
    return await fetchFrom(freshIndex, join(privateFolder, 'fresh'), options).catch((second: unknown) => {
      if (!(second instanceof AptError)) throw second;
      const reasons = [error.message, second.message, ...(complaint === undefined ? [] : [complaint])];
      throw new AptError([...new Set(reasons)].join('; then '));
    });
  }
}

/** Removes what an interrupted download left behind, for example after Ctrl-C. */
async function removeAbandoned(cacheDir: string): Promise<void> {
  for (const entry of await readdir(cacheDir)) {
    const folder = join(cacheDir, entry);
    if (!entry.startsWith(PRIVATE_PREFIX)) continue;
    const found = await stat(folder).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_AFTER_MS) {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

type Unpacked = { readonly folder: string; readonly folderName: string };

async function fetchFrom(apt: Apt, folder: string, options: DistributionPackageOptions): Promise<Unpacked> {
  const server = await choosePackage(apt);
  // The server's program is in the tools package; the server package contains a link to it.
  const names = await apt.closure([`${server.product}-tools`, `${server.product}-server`]);
  options.log(`[redis] downloading ${names.join(', ')} (${server.version})`);
  const packages = join(folder, 'packages');
  const root = join(folder, 'unpacked', 'root');
  await mkdir(packages, { recursive: true });
  await mkdir(root, { recursive: true });
  await apt.download(names, packages);
  for (const file of await readdir(packages)) {
    const outcome = await runCommand(options.tools.dpkgDeb, ['-x', join(packages, file), root], {
      timeoutMs: 60_000,
    });
    if (!outcome.ok) throw new AptError(`dpkg-deb -x ${file} failed: ${outcome.reason}`);
  }
  await writeWrapper(join(folder, 'unpacked'), `${server.product}-server`);
  return {
    folder: join(folder, 'unpacked'),
    folderName: `${server.product}-${withoutEpoch(server.version)}`,
  };
}

type ServerPackage = { readonly product: 'valkey' | 'redis'; readonly version: string };

async function choosePackage(apt: Apt): Promise<ServerPackage> {
  const valkey = await apt.candidateVersion('valkey-server');
  if (valkey !== undefined) return { product: 'valkey', version: valkey };
  const redis = await apt.candidateVersion('redis-server');
  if (redis === undefined) throw new AptError('the package index has neither valkey-server nor redis-server');
  if (isOldRedis(withoutEpoch(redis))) {
    throw new AptError(`the distribution only has redis-server ${redis}, older than ${OLDEST_REDIS}`);
  }
  return { product: 'redis', version: redis };
}

/**
 * writeWrapper writes a script that runs the unpacked server by its path alone, in any folder. The `exec` in
 * the script keeps the pid.
 */
async function writeWrapper(folder: string, program: string): Promise<void> {
  const libraries: string[] = [];
  for (const base of ['root/usr/lib', 'root/lib']) {
    const entries = await readdir(join(folder, base)).catch((): string[] => []);
    libraries.push(
      ...entries.filter((entry) => /-linux-gnu/.test(entry)).map((entry) => `$here/${base}/${entry}`),
    );
  }
  const wrapper = join(folder, 'redis-server');
  await writeFile(
    wrapper,
    `#!/bin/sh
here=$(CDPATH= cd -- "\${0%/*}" && pwd)
export LD_LIBRARY_PATH="${libraries.join(':')}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/root/usr/bin/${program}" "$@"
`,
  );
  await chmod(wrapper, 0o755);
}

async function moveIntoPlace(unpacked: Unpacked, cacheDir: string): Promise<ServerBinary> {
  const inspection = await inspectServerBinary(join(unpacked.folder, 'redis-server'));
  if (!inspection.usable) throw new AptError(`the unpacked server ${inspection.reason}`);
  const target = join(cacheDir, unpacked.folderName);
  try {
    await rename(unpacked.folder, target);
  } catch (error: unknown) {
    // Another process was first. The folder of that process is used, unless the server in it does not run.
    if (!(await inspectServerBinary(join(target, 'redis-server'))).usable) {
      await rm(target, { recursive: true, force: true });
      await rename(unpacked.folder, target).catch(() => {
        throw error;
      });
    }
  }
  return { ...inspection.binary, path: join(target, 'redis-server') };
}

function withoutEpoch(version: string): string {
  return version.replace(/^\d+:/, '');
}
