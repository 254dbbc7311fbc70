import { type ExecFileException, execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SOURCE = resolve('test/support/openai-clients');
const MANIFESTS = ['package.json', 'package-lock.json'];
/** A download of about 50 MB, on a slow network. */
const INSTALL_LIMIT_MS = 5 * 60_000;
/** The time of one program, in which Node first reads thousands of modules. */
const RUN_LIMIT_MS = 120_000;

type Installation = { kind: 'ready'; folder: string } | { kind: 'missing'; reason: string };

/**
 * RunClient runs the cases of a program of test/support/openai-clients. The program uses other people's
 * clients, which the product does not need. They are installed into a folder of their own, once for each list
 * of versions.
 * @param ways the base URLs at which the client runs, by the name of the way.
 * @returns what each case returned, by its way and name: `queue text`.
 */
export type RunClient = (
  program: string,
  api: string,
  ways: Readonly<Record<string, string>>,
) => Promise<unknown>;

/**
 * `describe` for tests that need these clients. If they cannot be installed, its tests are replaced by one
 * that says why; in CI that test fails.
 */
export function describeWithOpenAiClients(name: string, tests: (run: RunClient) => void): void {
  const installation = findOrInstall();
  describe(name, () => {
    if (installation.kind === 'missing') {
      it('needs clients that are to be installed', () => sayMissing(name, installation.reason));
      return;
    }
    tests((program, api, ways) =>
      run(join(installation.folder, 'run.mjs'), [program, api, JSON.stringify(ways)]),
    );
  });
}

/** Blocks on purpose: Jest must know all tests before it runs the first, and this decides which exist. */
function findOrInstall(): Installation {
  const folder = resolve('.cache', `openai-clients-${hashOf(MANIFESTS)}`);
  if (!existsSync(folder)) {
    say('The clients that the tests try against /v1 are missing, so npm installs them into .cache: once.');
    try {
      install(folder);
    } catch (error: unknown) {
      return { kind: 'missing', reason: error instanceof Error ? error.message : String(error) };
    }
  }
  // A program finds its packages by its own folder.
  cpSync(SOURCE, folder, { recursive: true });
  return { kind: 'ready', folder };
}

/** Installs into another folder first, so that the final folder is always complete. */
function install(folder: string): void {
  mkdirSync('.cache', { recursive: true });
  const place = mkdtempSync(resolve('.cache', 'installing-'));
  try {
    for (const file of MANIFESTS) cpSync(join(SOURCE, file), join(place, file));
    const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
    execFileSync('npm', ['ci', ...flags], { cwd: place, stdio: 'pipe', timeout: INSTALL_LIMIT_MS });
    renameSync(place, folder);
  } catch (error: unknown) {
    // Another run of the tests may have been faster.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function hashOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(SOURCE, file)));
  return hash.digest('hex').slice(0, 12);
}

function run(file: string, args: readonly string[]): Promise<unknown> {
  return new Promise((resolveRun, reject) => {
    const env = { PATH: process.env['PATH'] };
    execFile(
      process.execPath,
      [file, ...args],
      { env, timeout: RUN_LIMIT_MS },
      (error: ExecFileException | null, stdout, stderr) => {
        if (error !== null)
          reject(new Error(`${file} ${args.join(' ')} failed: ${stderr}${stdout}`, { cause: error }));
        else resolveRun(JSON.parse(stdout));
      },
    );
  });
}

function sayMissing(tests: string, reason: string): void {
  const sentence = `Clients from npm were expected for the tests of "${tests}", and could not be installed: ${reason}`;
  if (process.env['CI'] !== undefined) throw new Error(sentence);
  say(`SKIPPED. ${sentence}`);
}

/** Straight to the terminal: Jest hides or wraps what tests print in other ways. */
function say(line: string): void {
  process.stderr.write(`\n${line}\n`);
}
