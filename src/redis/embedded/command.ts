import { execFile } from 'node:child_process';

/** CommandOutcome is how a program ended. */
export type CommandOutcome =
  /** `warnings` is what a successful program wrote to stderr. */
  | { readonly ok: true; readonly output: string; readonly warnings: string }
  /** `reason` is one line: the last line that the program wrote, or why it could not be run. */
  | { readonly ok: false; readonly reason: string };

export type CommandOptions = {
  readonly workingDir?: string;
  readonly timeoutMs: number;
};

/**
 * runCommand runs a program to its end. It never rejects: a program that is missing, fails or hangs is an
 * outcome.
 */
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
  if (error.killed === true) return `it did not end within ${timeoutMs / 1000} s`;
  // A code that is a string (ENOENT, EACCES) means that the program was never run. A number is its exit code.
  if (typeof error.code === 'string') return error.code;
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const said = lines.find((line) => line.startsWith('E: ')) ?? lines.at(-1);
  return said?.trim() ?? `exit code ${String(error.code)}`;
}
