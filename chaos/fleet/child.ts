import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';

export interface ChildExit {
  /** null: ended by a signal. */
  code: number | null;
  /** Unix milliseconds. */
  at: number;
}

/** One process of the instance, with its log in a file. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  kill(signal: NodeJS.Signals): void;
}

export interface ChildOptions {
  /** Also the name of its log. */
  name: string;
  program: string;
  args: readonly string[];
  /** All that it gets: whatever else is set on this machine must not change the run. */
  environment: Record<string, string>;
  folder: string;
  /** What it says when it stands; a group in it is handed back. */
  ready: RegExp;
}

/** Of a process on a busy machine; it takes half a second on an idle one. */
const START_LIMIT_MS = 30_000;
const TAIL_CHARACTERS = 2000;

/** Resolves when it is ready; rejects, with its last words, when it ends before. */
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
      reject(new Error(`${name} ${what} before it was ready. Its last words:\n${tail}`));
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
