import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = join(__dirname, '../../../dist/cli/main.js');
/** The start of a process on a busy machine; it takes half a second on an idle one. */
const START_LIMIT_MS = 60_000;

export interface CliExit {
  /** null: ended by a signal. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliProcess {
  /** In which it runs. */
  readonly folder: string;
  stdout(): string;
  stderr(): string;
  /** Resolves with the first group of the pattern in the standard output; fails with the whole output. */
  says(pattern: RegExp): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  readonly exited: Promise<CliExit>;
}

/** CliProcesses run the compiled program in an empty folder, with the given variables only. */
export interface CliProcesses {
  start(args: readonly string[], environment?: Record<string, string>): Promise<CliProcess>;
  /** Kills what still runs and deletes the folders; for `afterEach`. */
  end(): Promise<void>;
}

export function createCliProcesses(): CliProcesses {
  const running: CliProcess[] = [];
  const folders: string[] = [];
  return {
    async start(args, environment = {}) {
      if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} was expected: run \`npm run build\` first`);
      const folder = await mkdtemp(join(tmpdir(), 'o3q-cli-'));
      folders.push(folder);
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        cwd: folder,
        env: { PATH: process.env['PATH'], ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const started = follow(child, folder, args.join(' '));
      running.push(started);
      return started;
    },
    async end() {
      for (const one of running) one.kill('SIGKILL');
      await Promise.all(running.splice(0).map(({ exited }) => exited));
      for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
    },
  };
}

function follow(child: ChildProcess, folder: string, name: string): CliProcess {
  const said = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
      for (const listener of listeners) listener();
    });
  }
  const exited = new Promise<CliExit>((resolve, reject) => {
    child.once('error', reject);
    // `close`, not `exit`: only now has all output arrived.
    child.once('close', (code) => resolve({ code, ...said }));
  });
  const words = (): string => `stdout:\n${said.stdout}\nstderr:\n${said.stderr}`;

  return {
    folder,
    stdout: () => said.stdout,
    stderr: () => said.stderr,
    exited,
    kill: (signal) => void child.kill(signal),
    says: (pattern) =>
      new Promise<string>((resolve, reject) => {
        const settle = (end: () => void): void => {
          clearTimeout(timer);
          listeners.delete(look);
          end();
        };
        const fail = (what: string): void =>
          settle(() => reject(new Error(`o3q ${name} ${what} without saying ${pattern}; ${words()}`)));
        const look = (): void => {
          const caught = pattern.exec(said.stdout);
          if (caught !== null) settle(() => resolve(caught[1] ?? caught[0]));
        };
        const timer = setTimeout(() => fail(`was waited for ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
        listeners.add(look);
        exited.then(({ code }) => fail(`ended with ${String(code)}`), reject);
        look();
      }),
  };
}
