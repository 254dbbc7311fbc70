import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROGRAM = join(__dirname, '../../../dist/cli/main.js');

export interface O3qRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface O3qOptions {
  /** The content of stdin. Default: empty. */
  input?: string | Buffer;
  /** The folder in which it runs, whose `.env` it reads. Default: a folder without one. */
  folder?: string;
  environment?: Record<string, string>;
}

/** o3q runs the compiled `o3q` in pipes, with the given variables only, to its end. */
export function o3q(args: readonly string[], options: O3qOptions = {}): Promise<O3qRun> {
  const { input = '', folder = tmpdir(), environment = {} } = options;
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...environment },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
  });
  // A program may close its stdin without reading it.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
}
