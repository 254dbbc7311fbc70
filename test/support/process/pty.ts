import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const PROGRAM = join(__dirname, '../../../dist/cli/main.js');
const SCRIPT = '/usr/bin/script';
const CTRL_C = '\u0003';
/** How long a command may take to write, on a busy machine, in milliseconds. */
const LIMIT_MS = 30_000;

export interface PtyRun {
  args: readonly string[];
  environment: Record<string, string>;
  columns: number;
  rows: number;
  /** When this has been written, Ctrl-C is typed. Default: the command ends by itself. */
  until?: RegExp;
}

export interface PtyExit {
  code: number | null;
  /** Everything that was written, without escape sequences, and before Ctrl-C was typed. */
  text: string;
  /** Everything that was written, as the terminal got it. */
  raw: string;
}

/**
 * onTerminal runs the compiled `o3q` on a terminal of a given size, by util-linux's `script`, which every
 * Debian has. It captures what is written and does not follow the cursor.
 */
export async function onTerminal({ args, environment, columns, rows, until }: PtyRun): Promise<PtyExit> {
  const command = `stty cols ${columns} rows ${rows} && exec ${[process.execPath, PROGRAM, ...args].map(quoted).join(' ')}`;
  const child = spawn(SCRIPT, ['-q', '-e', '-f', '-c', command, '/dev/null'], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'], TERM: 'xterm-256color', SHELL: '/bin/sh', ...environment },
  });
  let raw = '';
  let isTyped = false;
  let before: string | undefined;
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    raw += text;
    if (isTyped || until === undefined || !until.test(stripVTControlCharacters(raw))) return;
    isTyped = true;
    before = raw;
    child.stdin.write(CTRL_C);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(timer);
  return { code, raw, text: stripVTControlCharacters(before ?? raw).replaceAll('\r', '') };
}

/** hasPty says whether this machine can give a command a terminal. */
export function hasPty(): boolean {
  return process.platform === 'linux' && existsSync(SCRIPT);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

const BASH = '/usr/bin/bash';

/**
 * typedIntoBash types into a `bash --norc` with the completion of `o3q`. Each text is typed when what the one
 * before was to show is there. @returns everything that was shown. undefined: this machine lacks bash.
 */
export const typedIntoBash =
  hasPty() && existsSync(BASH)
    ? async (...steps: readonly [text: string, shows: RegExp][]): Promise<string> => {
        const define = `o3q() { ${quoted(process.execPath)} ${quoted(PROGRAM)} "$@"; }`;
        const child = spawn(
          SCRIPT,
          ['-q', '-e', '-f', '-c', `stty cols 200 && exec ${BASH} --norc -i`, '/dev/null'],
          {
            cwd: tmpdir(),
            env: { PATH: process.env['PATH'], TERM: 'dumb', PS1: '> ', HISTFILE: '', INPUTRC: '/dev/null' },
          },
        );
        const ready = [`${define}; source <(o3q completion bash); echo re''ady\n`, /^ready/m] as const;
        const open = [ready, ...steps];
        let [shown, since] = ['', 0];
        const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
        const next = (): void => void child.stdin.write(open[0]?.[0] ?? '\u0015exit\n');
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          shown += text;
          if (open[0]?.[1].test(stripVTControlCharacters(shown.slice(since)).replaceAll('\r', '')) !== true)
            return;
          since = shown.length;
          open.shift();
          next();
        });
        next();
        await new Promise((resolve, reject) => {
          child.once('error', reject);
          child.once('close', resolve);
        });
        clearTimeout(timer);
        if (open.length > 0)
          throw new Error(`${open[0]?.[1]} was expected in bash, which has shown:\n${shown}`);
        return shown;
      }
    : undefined;
