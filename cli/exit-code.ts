import { CommanderError } from 'commander';
import { O3ClientError } from '../src/client/client-error.ts';
import { SetupError } from '../src/errors/setup-error.ts';
import type { JobView } from '../src/job/job.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, unfinished: 3, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  1    the job failed or was cancelled; or the instance refused, or was not reachable
  2    wrong usage
  3    not finished yet
  130  interrupted while waiting; the job goes on`;

/** A command line that cannot be meant; the message says what was expected. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** For commands that are about a job's fate: `result`, `watch ID`, `ask --wait`. */
export function exitCodeOfJob(job: JobView): ExitCode {
  switch (job.status) {
    case 'completed':
      return EXIT.done;
    case 'failed':
    case 'cancelled':
      return EXIT.failed;
    case 'waiting':
    case 'delayed':
    case 'active':
      return EXIT.unfinished;
    default:
      return job satisfies never;
  }
}

export interface Failure {
  exitCode: number;
  /** For the user; undefined where it has been printed already, or where only a developer could use it. */
  message: string | undefined;
}

/** What a command threw: undefined for what is no user's fault, which deserves its stack. */
export function failureFrom(error: unknown): Failure | undefined {
  // commander prints its own, and throws 1 for what is wrong usage.
  if (error instanceof CommanderError) {
    const exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return { exitCode, message: undefined };
  }
  if (error instanceof UsageError) return { exitCode: EXIT.usage, message: error.message };
  if (error instanceof O3ClientError || error instanceof SetupError) {
    return { exitCode: EXIT.failed, message: error.message };
  }
  return undefined;
}
