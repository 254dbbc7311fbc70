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
  /** What is piped in. Default: nothing, an empty stdin. */
  input?: string | Buffer;
  /** Where it runs; a `.env` there counts. Default: a folder without one. */
  folder?: string;
  environment?: Record<string, string>;
}

/** Runs the compiled `o3q` in pipes, with only the variables that are given, to its end. */
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
  // A program that does not read its stdin closes it: that is its own affair.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
}
