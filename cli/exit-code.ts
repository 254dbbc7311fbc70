import { CommanderError } from 'commander';
import { O3ClientError } from '../src/client/client-error.ts';
import { QueueError } from '../src/errors/problem.ts';
import { SetupError } from '../src/errors/setup-error.ts';
import type { JobView } from '../src/job/view.ts';
import { whyUnanswered } from '../src/responses/unanswered.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, unfinished: 3, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_HELP = `
Exit codes:
  0    success
  1    the job failed, was cancelled or has no answer; or the instance refused or could not be reached
  2    wrong usage
  3    the job is not finished yet
  130  interrupted while waiting; the job still runs`;

/** UsageError refuses a command line; its message says what was expected. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** exitCodeOfJob is the exit code of the commands that wait for a job: `result`, `watch ID`, `ask --wait`. */
export function exitCodeOfJob(job: JobView): ExitCode {
  switch (job.status) {
    case 'completed':
      return whyUnanswered(job.result) === undefined ? EXIT.done : EXIT.failed;
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
  /** The message for the user; undefined when it has already been printed. */
  message: string | undefined;
}

/** failureFrom explains what a command has thrown; undefined for a bug, whose stack should be printed. */
export function failureFrom(error: unknown): Failure | undefined {
  // commander has printed its message, and throws exit code 1 for wrong usage.
  if (error instanceof CommanderError) {
    const exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return { exitCode, message: undefined };
  }
  if (error instanceof UsageError) return { exitCode: EXIT.usage, message: error.message };
  if (error instanceof O3ClientError || error instanceof QueueError || error instanceof SetupError) {
    return { exitCode: EXIT.failed, message: error.message };
  }
  return undefined;
}
