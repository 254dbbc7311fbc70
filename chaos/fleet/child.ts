import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** ChildExit says how and when a process ended. */
export interface ChildExit {
  /** null: a signal ended it. */
  code: number | null;
  /** Unix milliseconds. */
  at: number;
}

/** Child is one process of the instance, with its log in a file. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  kill(signal: NodeJS.Signals): void;
}

/** ChildOptions say what to start. */
export interface ChildOptions {
  /** The name of the process and of its log. */
  name: string;
  program: string;
  args: readonly string[];
  /** The whole environment of the process. Other variables of this machine must not influence the run. */
  environment: Record<string, string>;
  folder: string;
  /** Matches the output of a process that is ready. If it has a group, the text of the group is returned. */
  ready: RegExp;
}

/**
 * How long a start may take on a busy machine, in milliseconds. On an idle machine it takes half a second.
 */
const START_LIMIT_MS = 30_000;
const TAIL_CHARACTERS = 2000;

/**
 * startChild resolves when the process is ready. If the process ends before that, it rejects with the end of
 * the process's log.
 */
export async function startChild(options: ChildOptions): Promise<{ child: Child; said: string }> {
  const { name, folder, ready } = options;
  const log = createWriteStream(join(folder, `${name}.log`), { flags: 'a' });
  const running = spawn(process.execPath, [options.program, ...options.args], {
    cwd: folder,
    env: options.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<ChildExit>((resolve, reject) => {
    running.once('error', reject);
    running.once('exit', (code) => resolve({ code, at: Date.now() }));
  });
  running.once('close', () => log.end());
  const pid = running.pid ?? 0;
  const child: Child = { name, pid, exited, kill: (signal) => void running.kill(signal) };

  let tail = '';
  const said = await new Promise<string>((resolve, reject) => {
    const fail = (what: string): void => {
      clearTimeout(timer);
      reject(new Error(`${name} ${what} before it was ready. The end of its log:\n${tail}`));
    };
    const timer = setTimeout(() => fail(`took ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
    for (const stream of [running.stdout, running.stderr]) {
      stream.pipe(log, { end: false });
      stream.setEncoding('utf8').on('data', (text: string) => {
        tail = (tail + text).slice(-TAIL_CHARACTERS);
        const caught = ready.exec(tail);
        if (caught === null) return;
        clearTimeout(timer);
        resolve(caught[1] ?? caught[0]);
      });
    }
    exited.then(({ code }) => fail(`ended with ${String(code)}`), reject);
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return { child, said };
}

/** residentBytes returns the resident memory of a process; undefined on a system without `/proc`. */
export async function residentBytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}
