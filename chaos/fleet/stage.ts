import type { ResolutionOptions } from '../../src/redis/embedded/resolution-order.ts';

/** Stage is what the entry point gives every scenario. */
export interface Stage {
  /** The seed of the plan. It decides the jobs, their faults, and what is broken at which time. */
  seed: number;
  /** The path of the compiled command line, for child processes. */
  program: string;
  /** How this machine finds a Redis server. */
  redisServer: ResolutionOptions;
  /** Aborts the scenario and stops every process that it started. */
  signal: AbortSignal;
  /** Prints a line that stays. */
  say(line: string): void;
  /** Prints a line that the next one replaces. */
  progress(line: string): void;
}
