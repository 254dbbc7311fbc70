import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { RedisUnavailableError } from '../unavailable-error.ts';
import { runCommand } from './command.ts';
import { unpackDistributionPackage } from './distribution-package.ts';
import { noRedisText } from './no-redis-text.ts';
import { inspectServerBinary, type ServerBinary } from './server-binary.ts';

export type ResolutionOptions = {
  /** A server to use and no other (O3Q_REDIS_BIN). Default: look for one. */
  readonly binary?: string;
  /** Where an unpacked server is kept. Default `.cache/embedded-redis`. */
  readonly cacheDir?: string;
  /** Whether the distribution's package may be fetched when no server is found. Default true. */
  readonly download?: boolean;
  readonly log: (line: string) => void;
  /** Folders to find programs in, as in PATH. Default: PATH, and for servers the usual folders. For tests. */
  readonly searchPath?: string;
  /**
   * Whether an installed server may be used. Default true. For tests: an installed one would hide a broken
   * fallback, so one test looks away from it.
   */
  readonly searchInstalled?: boolean;
};

export type ResolvedServer = ServerBinary & { readonly origin: 'O3Q_REDIS_BIN' | 'installed' | 'unpacked' };

// Package managers put servers here, and the PATH of a service or an editor often lacks these folders.
const USUAL_FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/opt/local/bin'];

/**
 * Finds a real Redis or Valkey; the first hit wins. Installed before unpacked, because it gets the security
 * updates. Not tried, on purpose: compiling, starting containers, whatever listens on 6379 (someone's data),
 * and look-alikes.
 */
export async function resolveServer(options: ResolutionOptions): Promise<ResolvedServer> {
  if (process.platform === 'win32') {
    throw new RedisUnavailableError(
      noRedisText('win32', ['there is no official Redis for Windows that could be embedded']),
    );
  }
  if (options.binary !== undefined) return chosenServer(options.binary);

  const refusals: string[] = [];
  const path = options.searchPath ?? (await ownSearchPath());
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  const usualFolders = options.searchPath === undefined ? USUAL_FOLDERS : [];
  const searches = options.searchInstalled === false ? [] : [folders, usualFolders];
  const cacheDir = options.cacheDir ?? '.cache/embedded-redis';
  const server =
    (await installedServer(searches, refusals)) ??
    (await unpackedServer(cacheDir, refusals)) ??
    (await fetchedServer(folders, cacheDir, options, refusals));
  if (server === undefined) throw new RedisUnavailableError(noRedisText(process.platform, refusals));
  return server;
}

async function chosenServer(path: string): Promise<ResolvedServer> {
  const inspection = await inspectServerBinary(path);
  if (inspection.usable) return { ...inspection.binary, origin: 'O3Q_REDIS_BIN' };
  throw new RedisUnavailableError(
    `O3Q_REDIS_BIN=${path} ${inspection.reason}. Set it to the path of a redis-server (6.2 or newer) or valkey-server, or unset it.`,
  );
}

async function installedServer(
  searches: readonly (readonly string[])[],
  refusals: string[],
): Promise<ResolvedServer | undefined> {
  const before = refusals.length;
  for (const places of searches) {
    for (const program of ['redis-server', 'valkey-server']) {
      const path = await findProgram(program, places);
      const server = path === undefined ? undefined : await acceptable(path, refusals);
      if (server !== undefined) return { ...server, origin: 'installed' };
    }
  }
  if (refusals.length === before) refusals.push('no redis-server or valkey-server on PATH');
  return undefined;
}

async function unpackedServer(cacheDir: string, refusals: string[]): Promise<ResolvedServer | undefined> {
  const entries = await readdir(cacheDir).catch((): string[] => []);
  const newestFirst = entries
    .filter((entry) => /^(redis|valkey)-/.test(entry))
    .sort((one, other) => other.localeCompare(one, 'en', { numeric: true }));
  for (const entry of newestFirst) {
    const server = await acceptable(join(resolve(cacheDir), entry, 'redis-server'), refusals);
    if (server !== undefined) return { ...server, origin: 'unpacked' };
  }
  return undefined;
}

async function fetchedServer(
  folders: readonly string[],
  cacheDir: string,
  options: ResolutionOptions,
  refusals: string[],
): Promise<ResolvedServer | undefined> {
  if (options.download === false) {
    refusals.push('download switched off by O3Q_REDIS_DOWNLOAD=0');
    return undefined;
  }
  const [aptGet, aptCache, dpkgDeb] = await Promise.all(
    ['apt-get', 'apt-cache', 'dpkg-deb'].map((program) => findProgram(program, folders)),
  );
  if (aptGet === undefined || aptCache === undefined || dpkgDeb === undefined) {
    const missing = aptGet === undefined ? 'apt-get' : aptCache === undefined ? 'apt-cache' : 'dpkg-deb';
    refusals.push(`apt-get: ${missing} not found (not Debian or Ubuntu)`);
    return undefined;
  }
  try {
    const tools = { aptGet, aptCache, dpkgDeb };
    return {
      ...(await unpackDistributionPackage({ tools, cacheDir, log: options.log })),
      origin: 'unpacked',
    };
  } catch (error: unknown) {
    refusals.push(`apt-get: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function acceptable(path: string, refusals: string[]): Promise<ServerBinary | undefined> {
  const inspection = await inspectServerBinary(path);
  if (inspection.usable) return inspection.binary;
  const refusal = `${path}: ${inspection.reason}`;
  if (!refusals.includes(refusal)) refusals.push(refusal);
  return undefined;
}

async function findProgram(program: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, program);
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return undefined;
}

// Asked of a shell, since the environment is read in the configuration alone.
async function ownSearchPath(): Promise<string> {
  const outcome = await runCommand('/bin/sh', ['-c', 'printf %s "$PATH"'], { timeoutMs: 10_000 });
  return outcome.ok ? outcome.output : '';
}
