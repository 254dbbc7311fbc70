import type { ResolutionOptions } from '../src/redis/embedded/resolution-order.ts';

/** What every scenario is given by the entry point. */
export interface Stage {
  /** Fixes the plan: the jobs, their faults, and what is broken when. */
  seed: number;
  /** The compiled command line, for child processes. */
  program: string;
  /** How this machine finds a Redis server. */
  redisServer: ResolutionOptions;
  /** Ends the scenario, and all that it has started. */
  signal: AbortSignal;
  /** A line that stays. */
  say(line: string): void;
  /** A line that the next one replaces. */
  progress(line: string): void;
}

/** An invariant that was broken, by name. */
export interface Offence {
  rule: string;
  /** The name of the job in its question, or of whatever else it is about. */
  about: string;
  expected: string;
  seen: string;
}

/** A figure that was promised. */
export interface Requirement {
  what: string;
  required: string;
  measured: string;
  /** undefined: worth knowing, nothing was promised. */
  met: boolean | undefined;
}

export interface Report {
  requirements: Requirement[];
  offences: Offence[];
  /** Where the logs of all processes are. */
  logs: string;
}

export function isClean({ requirements, offences }: Report): boolean {
  return offences.length === 0 && requirements.every(({ met }) => met !== false);
}
