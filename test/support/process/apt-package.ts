import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

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
  /** Where the package is unpacked instead of installed, without root: for one that would start a service. */
  readonly unpackInto?: string;
}

/**
 * findOrInstall blocks on purpose: Jest must know all tests before it runs the first, and this decides which
 * exist.
 */
export function findOrInstall(wanted: AptPackage): Finding {
  const path = find(wanted);
  if (path !== undefined) return { kind: 'found', path };
  const isAllowed = wanted.unpackInto !== undefined || isRoot();
  if (!isAllowed || inPath('apt-get') === undefined) {
    return {
      kind: 'missing',
      reason: 'there is none in PATH, and it can be installed from here only by root with apt-get',
    };
  }
  say(`${wanted.title} is missing, so apt-get fetches it, once.`);
  const startedAt = Date.now();
  const failure = install(wanted);
  const installed = find(wanted);
  if (installed === undefined) return { kind: 'missing', reason: `apt-get could not fetch it: ${failure}` };
  say(`${wanted.title} was fetched in ${Math.round((Date.now() - startedAt) / 1000)} s: ${installed}`);
  return { kind: 'found', path: installed };
}

/** In CI the test fails, because the output of a passing build is not read. */
export function sayMissing({ title, name }: AptPackage, tests: string, reason: string): void {
  const sentence = `${title} was expected for the tests of "${tests}": ${reason}. Install ${name}`;
  if (process.env['CI'] !== undefined) throw new Error(sentence);
  say(`SKIPPED. ${sentence}, and run them again.`);
}

function find({ programs, paths = [], unpackInto }: AptPackage): string | undefined {
  const inPaths = programs.map(inPath).filter((path) => path !== undefined);
  const unpacked = unpackInto === undefined ? [] : programs.map((name) => join(unpackInto, 'usr/bin', name));
  return [...inPaths, ...paths, ...unpacked].find(isExecutable);
}

const isRoot = () => process.getuid?.() === 0;

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
  const { name, unpackInto } = wanted;
  const deadline = Date.now() + INSTALL_LIMIT_MS;
  for (;;) {
    // Old lists of packages may still be good enough.
    const update = isRoot() ? aptGet(['update']) : '';
    const installation =
      unpackInto === undefined
        ? aptGet(['install', '-y', '--no-install-recommends', name])
        : unpack(name, unpackInto);
    const failures = [update, installation].filter((failure) => failure !== '').join('; ');
    // Another test file, or the machine itself, may be installing at this moment.
    const busy = failures.includes('lock');
    if (!busy || find(wanted) !== undefined || Date.now() > deadline) return failures;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_RETRY_MS);
  }
}

/**
 * unpack unpacks a package beside its final place, so that another test file never finds half of it.
 * @returns the message of a failure; '' for success.
 */
function unpack(name: string, target: string): string {
  mkdirSync(dirname(target), { recursive: true });
  const folder = mkdtempSync(`${target}-`);
  try {
    const failure = aptGet(['download', name], folder);
    if (failure !== '') return failure;
    const packages = readdirSync(folder).map((file) => join(folder, file));
    execFileSync('dpkg-deb', ['-x', ...packages, join(folder, 'root')], { stdio: 'pipe' });
    renameSync(join(folder, 'root'), target);
    return '';
  } catch (error: unknown) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param folder in which it runs. Default: this one.
 * @returns the message of a failure; '' for success.
 */
function aptGet(command: readonly string[], folder = '.'): string {
  try {
    execFileSync('apt-get', ['-qq', '-o', `DPkg::Lock::Timeout=${INSTALL_LIMIT_MS / 1000}`, ...command], {
      cwd: folder,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: 'pipe',
      timeout: INSTALL_LIMIT_MS,
    });
    return '';
  } catch (error: unknown) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Straight to the terminal: Jest hides or wraps what tests print in other ways. */
function say(line: string): void {
  process.stderr.write(`\n${line}\n`);
}
