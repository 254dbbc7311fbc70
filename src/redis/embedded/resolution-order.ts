import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { RedisUnavailableError } from '../../errors/setup-error.ts';
import { runCommand } from './command.ts';
import { unpackDistributionPackage } from './distribution-package.ts';
import { inspectServerBinary, type ServerBinary } from './server-binary.ts';

/** ResolutionOptions say where to look for a server. */
export type ResolutionOptions = {
  /** The path of the only server to use (O3Q_REDIS_BIN). Default: look for one. */
  readonly binary?: string;
  /** The folder of unpacked servers. Default `.cache/embedded-redis`. */
  readonly cacheDir?: string;
  /** Whether to download the distribution's package when no server is found. Default true. */
  readonly download?: boolean;
  readonly log: (line: string) => void;
  /**
   * Folders with programs, in the form of PATH. Default: PATH, and for servers the usual folders. For tests.
   */
  readonly searchPath?: string;
  /**
   * Whether to use an installed server. Default true. For tests: an installed server would hide a broken
   * fallback, so one test ignores it.
   */
  readonly searchInstalled?: boolean;
};

export type ResolvedServer = ServerBinary & { readonly origin: 'O3Q_REDIS_BIN' | 'installed' | 'unpacked' };

/** Package managers put servers here. The PATH of a service or an editor often lacks these folders. */
const USUAL_FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/opt/local/bin'];

/**
 * resolveServer finds a real Redis or Valkey, and takes the first one it finds. An installed server comes
 * before an unpacked one, because it gets security updates. Four ways are left out on purpose: compiling,
 * starting containers, a server that already listens on 6379 (it may hold other data), and programs that
 * imitate Redis.
 * @throws RedisUnavailableError with the ways to install a server, and with what was tried.
 */
export async function resolveServer(options: ResolutionOptions): Promise<ResolvedServer> {
  if (process.platform === 'win32') {
    throw new RedisUnavailableError(noRedisText('win32', ['there is no official Redis for Windows']));
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
    `O3Q_REDIS_BIN=${path} ${inspection.reason}. ` +
      'Set it to the path of a redis-server (6.2 or newer) or valkey-server, or unset it.',
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

/** Asks a shell, because only src/config/environment.ts reads the environment. */
async function ownSearchPath(): Promise<string> {
  const outcome = await runCommand('/bin/sh', ['-c', 'printf %s "$PATH"'], { timeoutMs: 10_000 });
  return outcome.ok ? outcome.output : '';
}

/**
 * noRedisText is the error message when no server was found: what to do on this platform, and what was tried.
 */
export function noRedisText(platform: NodeJS.Platform, refusals: readonly string[]): string {
  return `This program needs a Redis server (version 6.2 or newer) and found none.

Do one of these, then start again:
  1. Use a server you have:   REDIS_URL=redis://host:6379 npm start
  2. ${waysToInstall(platform)}
  3. Use Docker:  docker run -d -p 127.0.0.1:6379:6379 valkey/valkey:8   and   REDIS_URL=redis://127.0.0.1:6379

What was tried:
${refusals.map((refusal) => `  - ${refusal}`).join('\n')}`;
}

function waysToInstall(platform: NodeJS.Platform): string {
  switch (platform) {
    case 'win32':
      return 'Run this project inside WSL 2, or install Memurai and set REDIS_URL=redis://127.0.0.1:6379';
    case 'darwin':
      return `Install one; it is found and started automatically:
       brew install valkey        (or: brew install redis)`;
    default:
      return `Install one; it is found and started automatically:
       Debian/Ubuntu sudo apt-get install redis-server
       Fedora/RHEL   sudo dnf install valkey
       Alpine        sudo apk add valkey
       Arch          sudo pacman -S valkey`;
  }
}
