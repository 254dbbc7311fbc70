import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  noRedisText,
  type ResolutionOptions,
  resolveServer,
} from '../../../src/redis/embedded/resolution-order.ts';

const REDIS_7 = 'echo "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"';
const REDIS_6_0 = 'echo "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=1"';
const VALKEY_8 = 'echo "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"';

let world: string;
let logged: string[];

beforeEach(() => {
  world = mkdtempSync(join(tmpdir(), 'o3q-resolution-'));
  logged = [];
});

afterEach(() => rmSync(world, { recursive: true, force: true }));

/** A program of this test's own world, written as a shell script. */
function program(path: string, script: string): string {
  const file = join(world, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

function resolveHere(options: Partial<ResolutionOptions> = {}) {
  return resolveServer({
    searchPath: `${join(world, 'bin')}:${join(world, 'sbin')}`,
    cacheDir: join(world, 'cache'),
    log: (line) => logged.push(line),
    ...options,
  });
}

describe('an installed server', () => {
  it('an installed server is found on PATH, redis-server before valkey-server', async () => {
    program('bin/valkey-server', VALKEY_8);
    const redis = program('sbin/redis-server', REDIS_7);
    expect(await resolveHere()).toEqual({
      path: redis,
      name: 'Redis',
      version: '7.0.15',
      origin: 'installed',
    });
  });

  it('an installed server may be Valkey', async () => {
    const valkey = program('bin/valkey-server', VALKEY_8);
    expect(await resolveHere()).toEqual({
      path: valkey,
      name: 'Valkey',
      version: '8.1.1',
      origin: 'installed',
    });
  });

  it('an installed server is preferred to an unpacked one, which gets no security updates', async () => {
    program('cache/redis-8.0.2-1/redis-server', REDIS_7);
    program('bin/redis-server', REDIS_7);
    expect(await resolveHere()).toMatchObject({ origin: 'installed' });
  });

  it('an installed server that is too old is skipped, and the error says so', async () => {
    const old = program('bin/redis-server', REDIS_6_0);
    await expect(resolveHere({ download: false })).rejects.toThrow(
      `${old}: is Redis 6.0.16, older than 6.2.0`,
    );
  });
});

describe('an unpacked server', () => {
  it('the newest unpacked server is used without a download', async () => {
    program('cache/redis-7.0.9-1/redis-server', REDIS_7);
    const newest = program('cache/redis-7.0.15-1/redis-server', REDIS_7);
    expect(await resolveHere()).toMatchObject({ path: newest, origin: 'unpacked' });
    expect(logged).toEqual([]);
  });

  it('an unpacked server that no longer runs is skipped', async () => {
    program('cache/redis-7.0.15-1/redis-server', 'echo "libjemalloc.so.2: cannot open" >&2; exit 127');
    const other = program('cache/redis-7.0.9-1/redis-server', REDIS_7);
    expect(await resolveHere()).toMatchObject({ path: other });
  });
});

describe('O3Q_REDIS_BIN', () => {
  it('O3Q_REDIS_BIN is used before any installed server', async () => {
    program('bin/redis-server', REDIS_7);
    const chosen = program('my/server', VALKEY_8);
    expect(await resolveHere({ binary: chosen })).toMatchObject({ path: chosen, origin: 'O3Q_REDIS_BIN' });
  });

  it('O3Q_REDIS_BIN is an error when the file does not exist, even if a server is installed', async () => {
    program('bin/redis-server', REDIS_7);
    await expect(resolveHere({ binary: '/nope' })).rejects.toThrow('O3Q_REDIS_BIN=/nope does not exist');
  });

  it('O3Q_REDIS_BIN is an error when the program is no Redis, and the error says what it is', async () => {
    const other = program('my/ls', 'echo "ls (GNU coreutils) 9.1"');
    await expect(resolveHere({ binary: other })).rejects.toThrow(
      `O3Q_REDIS_BIN=${other} is not a Redis or Valkey server: ls (GNU coreutils) 9.1`,
    );
  });

  it('O3Q_REDIS_BIN is an error when the file is not executable', async () => {
    const plain = program('my/file', REDIS_7);
    chmodSync(plain, 0o644);
    await expect(resolveHere({ binary: plain })).rejects.toThrow(`O3Q_REDIS_BIN=${plain} cannot be executed`);
  });
});

describe('the package of the distribution', () => {
  /** Stands in for apt of another distribution than this machine's. */
  function aptWith(index: Record<string, string>, downloadFailsOnce = false): void {
    const shown = Object.entries(index).map(([name, version]) => `  ${name}) echo "Version: ${version}";;`);
    program(
      'bin/apt-cache',
      `case "$*" in *valkey-server) set valkey-server;; *) set redis-server;; esac
case "$1" in
${shown.join('\n')}
  *) exit 100;;
esac`,
    );
    program(
      'bin/apt-get',
      `echo "$*" >> ${world}/apt-calls
case "$*" in
  *" -s "*valkey*) echo "Inst libc6 [2.41] (2.42 Debian)"; echo "Inst libatomic1 (14.2 Debian)"; echo "Inst valkey-tools (8.1.1 Debian)"; echo "Inst valkey-server (8.1.1 Debian)";;
  *" -s "*) echo "Inst redis-tools (7 Debian)"; echo "Inst redis-server (7 Debian)";;
  *update) touch ${world}/updated;;
  *download*) ${downloadFailsOnce ? `test -e ${world}/updated || { echo "E: Failed to fetch x.deb  404  Not Found" >&2; exit 100; }` : ''}
    touch server.deb;;
esac`,
    );
    // The tools package alone is what matters: it holds the server.
    program(
      'bin/dpkg-deb',
      `mkdir -p "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu"
printf '#!/bin/sh\\n${VALKEY_8.replaceAll('"', '\\"')}; echo "libraries: $LD_LIBRARY_PATH"\\n' > "$3/usr/bin/valkey-server"
printf '#!/bin/sh\\n${REDIS_7.replaceAll('"', '\\"')}\\n' > "$3/usr/bin/redis-server"
chmod +x "$3"/usr/bin/*`,
    );
  }

  // The stand-ins are scripts that call coreutils, by the PATH of the test run.
  it('the package is Valkey if there is one, unpacked with its dependencies but without a second libc', async () => {
    aptWith({ 'valkey-server': '8.1.1+dfsg1-3', 'redis-server': '5:8.0.2-3' });
    const server = await resolveHere();
    expect(server).toEqual({
      path: join(world, 'cache/valkey-8.1.1+dfsg1-3/redis-server'),
      name: 'Valkey',
      version: '8.1.1',
      origin: 'unpacked',
    });
    expect(logged).toEqual([
      `[redis] no Redis found; fetching your distribution's own package into ${join(world, 'cache')} (nothing is installed system-wide)`,
      '[redis] downloading libatomic1, valkey-tools, valkey-server (8.1.1+dfsg1-3)',
    ]);
    expect(readdirSync(join(world, 'cache'))).toEqual(['valkey-8.1.1+dfsg1-3']);
    expect(await resolveHere()).toEqual(server);
  });

  it("the package is fetched with a fresh index when the system's index names files that are gone", async () => {
    aptWith({ 'redis-server': '5:7.0.15-1' }, true);
    expect(await resolveHere()).toMatchObject({ name: 'Redis', origin: 'unpacked' });
    expect(logged).toContain('[redis] reading the package index of your distribution (no root needed)');
  });

  it('a package that is too old is refused', async () => {
    aptWith({ 'redis-server': '5:6.0.16-1+deb11u2' });
    await expect(resolveHere()).rejects.toThrow(
      'the distribution only has redis-server 5:6.0.16-1+deb11u2, older than 6.2.0',
    );
    expect(readdirSync(join(world, 'cache'))).toEqual([]);
  });

  it('the package is fetched again after an interruption, and the leftovers are removed', async () => {
    aptWith({ 'redis-server': '5:7.0.15-1' });
    const leftover = join(world, 'cache/.unpacking-abc');
    mkdirSync(leftover, { recursive: true });
    const yesterday = new Date(Date.now() - 24 * 3_600_000);
    utimesSync(leftover, yesterday, yesterday);
    await resolveHere();
    expect(readdirSync(join(world, 'cache'))).toEqual(['redis-7.0.15-1']);
  });

  it('offline the package cannot be fetched, and the error repeats what apt says', async () => {
    aptWith({});
    program('bin/apt-get', 'echo "W: Failed to fetch InRelease  Temporary failure resolving" >&2');
    await expect(resolveHere()).rejects.toThrow(
      '- apt-get: the package index has neither valkey-server nor redis-server; then W: Failed to fetch InRelease  Temporary failure resolving',
    );
  });

  it('the package is not fetched when downloads are switched off', async () => {
    aptWith({ 'redis-server': '5:7.0.15-1' });
    await expect(resolveHere({ download: false })).rejects.toThrow(
      'download switched off by O3Q_REDIS_DOWNLOAD=0',
    );
  });

  it('a cache path that is no folder is an error that names it', async () => {
    aptWith({ 'redis-server': '5:7.0.15-1' });
    writeFileSync(join(world, 'file'), '');
    await expect(resolveHere({ cacheDir: join(world, 'file/cache') })).rejects.toThrow(
      `mkdir '${join(world, 'file/cache')}'`,
    );
  });
});

describe('without any server', () => {
  it('the error says what is needed, what to do and what was tried', async () => {
    const failure = resolveHere();
    await expect(failure).rejects.toMatchObject({ name: 'RedisUnavailableError', code: 'redis_unavailable' });
    await expect(failure).rejects.toThrow(`What was tried:
  - no redis-server or valkey-server on PATH
  - apt-get: apt-get not found (not Debian or Ubuntu)`);
  });

  it('the error text lists the ways to install a server on each platform', () => {
    expect(noRedisText('linux', [])).toContain('Debian/Ubuntu sudo apt-get install redis-server');
    expect(noRedisText('darwin', [])).toContain('brew install valkey');
    expect(noRedisText('win32', [])).toContain('WSL 2');
    expect(noRedisText('win32', [])).not.toContain('apt-get');
  });
});
