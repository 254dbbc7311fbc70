import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { readConfig } from '../../src/config/environment.ts';
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

/** How often a progress line is printed where the output is not a terminal. */
const PROGRESS_EVERY_MS = 10_000;
const ERASE_LINE = '\r\u001b[K';

/** ProgressLine prints lines that stay, and one line at the end that changes. */
export interface ProgressLine {
  say(text: string): void;
  progress(text: string): void;
}

export function createProgressLine(stream: NodeJS.WriteStream): ProgressLine {
  const isTerminal = stream.isTTY === true;
  let shownAt = Date.now();
  return {
    say(text) {
      stream.write(`${isTerminal ? ERASE_LINE : ''}${text}\n`);
    },
    progress(text) {
      if (isTerminal) stream.write(`${ERASE_LINE}${text}`);
      else if (Date.now() - shownAt >= PROGRESS_EVERY_MS) {
        shownAt = Date.now();
        stream.write(`${text}\n`);
      }
    },
  };
}

/**
 * createStage makes the stage of a program that runs in the project's folder.
 * @throws an Error when the product is not built.
 */
export function createStage({
  seed,
  signal,
  line,
}: {
  seed: number;
  signal: AbortSignal;
  line: ProgressLine;
}): Stage {
  const compiled = resolve('dist/cli/main.js');
  if (!existsSync(compiled))
    throw new Error(`expected ${compiled}: run \`npm run build\` in the project's folder`);
  const config = readConfig();
  return {
    seed,
    program: compiled,
    redisServer: {
      download: config.redisDownload,
      ...(config.redisBinary !== undefined && { binary: config.redisBinary }),
      log: line.say,
    },
    signal,
    say: line.say,
    progress: line.progress,
  };
}
