import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** A download of about 100 MB, on a slow network. */
const INSTALL_LIMIT_MS = 10 * 60_000;
/** apt-get waits for the lock of packages, but not for the lock of its lists. */
const BUSY_RETRY_MS = 1000;

/** Finding is the path of a program, or why it is not there. */
export type Finding = { kind: 'found'; path: string } | { kind: 'missing'; reason: string };

/** AptPackage is a program that tests need, and the package of Debian that has it. */
export interface AptPackage {
  readonly title: string;
  readonly name: string;
  /** The names of the program, the best first, and paths outside of PATH. */
  readonly programs: readonly string[];
  readonly paths?: readonly string[];
  /**
   * Whether the package is only unpacked, below `.cache`, because its installation would start a service. That
   * needs no root, but lists of packages.
   */
  readonly isUnpacked?: boolean;
}

const CACHE = resolve('.cache/packages');

/**
 * findOrInstall blocks on purpose: Jest must know all tests before it runs the first, and this decides which
 * exist.
 */
export function findOrInstall(wanted: AptPackage): Finding {
  const path = find(wanted);
  if (path !== undefined) return { kind: 'found', path };
  if (inPath('apt-get') === undefined || (!wanted.isUnpacked && process.getuid?.() !== 0)) {
    return {
      kind: 'missing',
      reason: 'there is none in PATH, and it can be installed from here only by root with apt-get',
    };
  }
  say(`${wanted.title} is missing, so apt-get ${wanted.isUnpacked ? 'fetches' : 'installs'} it, once.`);
  const startedAt = Date.now();
  const failure = install(wanted);
  const installed = find(wanted);
  if (installed === undefined) return { kind: 'missing', reason: `apt-get could not install it: ${failure}` };
  say(`${wanted.title} was installed in ${Math.round((Date.now() - startedAt) / 1000)} s: ${installed}`);
  return { kind: 'found', path: installed };
}

/** In CI the test fails, because the output of a passing build is not read. */
export function sayMissing({ title, name }: AptPackage, tests: string, reason: string): void {
  const sentence = `${title} was expected for the tests of "${tests}": ${reason}. Install ${name}`;
  if (process.env['CI'] !== undefined) throw new Error(sentence);
  say(`SKIPPED. ${sentence}, and run them again.`);
}

function find({ name, programs, paths = [] }: AptPackage): string | undefined {
  const inPaths = programs.map(inPath).filter((path) => path !== undefined);
  const unpacked = programs.map((program) => join(CACHE, name, 'usr/bin', program));
  return [...inPaths, ...paths, ...unpacked].find(isExecutable);
}

function inPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns the failures of apt-get; the program may be there all the same. */
function install(wanted: AptPackage): string {
  const deadline = Date.now() + INSTALL_LIMIT_MS;
  for (;;) {
    // Old lists of packages may still be good enough.
    const update = aptGet(['update']);
    const installation = wanted.isUnpacked
      ? unpack(wanted.name)
      : aptGet(['install', '-y', '--no-install-recommends', wanted.name]);
    const failures = [update, installation].filter((failure) => failure !== '').join('; ');
    // Another test file, or the machine itself, may be installing at this moment.
    const busy = failures.includes('lock');
    if (!busy || find(wanted) !== undefined || Date.now() > deadline) return failures;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_RETRY_MS);
  }
}

/**
 * Two test files may unpack the same package at once: each has a folder of its own, and the first to rename it
 * is first.
 */
function unpack(name: string): string {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'new-'));
  try {
    const failure = aptGet(['download', name], folder);
    const file = readdirSync(folder).find((each) => each.endsWith('.deb'));
    if (file === undefined) return failure;
    run('dpkg', ['-x', file, 'unpacked'], folder);
    renameSync(join(folder, 'unpacked'), join(CACHE, name));
    return '';
  } catch (error: unknown) {
    return messageOf(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns the message of a failure; '' for success. */
function aptGet(command: readonly string[], cwd?: string): string {
  try {
    run('apt-get', ['-qq', '-o', `DPkg::Lock::Timeout=${INSTALL_LIMIT_MS / 1000}`, ...command], cwd);
    return '';
  } catch (error: unknown) {
    return messageOf(error);
  }
}

function run(program: string, command: readonly string[], cwd?: string): void {
  execFileSync(program, command, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: 'pipe',
    timeout: INSTALL_LIMIT_MS,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Straight to the terminal: Jest hides or wraps what tests print in other ways. */
function say(line: string): void {
  process.stderr.write(`\n${line}\n`);
}
