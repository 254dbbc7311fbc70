import { execFile } from 'node:child_process';

export type CommandOutcome =
  /** `warnings`: what it said besides, although it succeeded. */
  | { readonly ok: true; readonly output: string; readonly warnings: string }
  /** `reason`: the last thing the program said, or why it could not be run. One line. */
  | { readonly ok: false; readonly reason: string };

export type CommandOptions = {
  readonly workingDir?: string;
  readonly timeoutMs: number;
};

/** Runs a program to its end. A program that is missing, fails or hangs is an answer here, not an exception. */
export function runCommand(
  program: string,
  args: readonly string[],
  { workingDir, timeoutMs }: CommandOptions,
): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    const options = {
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 32 * 1024 * 1024,
      ...(workingDir !== undefined && { cwd: workingDir }),
    } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ ok: true, output: stdout, warnings: stderr });
      else resolve({ ok: false, reason: reasonOf(error, stderr, timeoutMs) });
    });
  });
}

function reasonOf(
  error: Error & { code?: unknown; killed?: boolean },
  stderr: string,
  timeoutMs: number,
): string {
  if (error.killed === true) return `no end after ${timeoutMs / 1000} s`;
  // A word means that the program was never run (ENOENT, EACCES); a number is its exit code.
  if (typeof error.code === 'string') return error.code;
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const said = lines.find((line) => line.startsWith('E: ')) ?? lines.at(-1);
  return said?.trim() ?? `exit code ${String(error.code)}`;
}
