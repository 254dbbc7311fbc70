import type { Flaw } from './problem.ts';

/**
 * SetupError is a reason why a process cannot start or continue. Its message tells the person who started the
 * process what to do; a stack trace would not help.
 */
export abstract class SetupError extends Error {}

/**
 * ConfigError lists everything that is wrong with a configuration, by name, so that one edit can correct
 * everything.
 */
export class ConfigError extends SetupError {
  override readonly name = 'ConfigError';
  readonly flaws: readonly Flaw[];
  constructor(flaws: readonly Flaw[]) {
    const count = flaws.length === 1 ? 'a problem' : `${flaws.length} problems`;
    const lines = flaws.map(({ path, message }) => `  - ${path}: ${message}`);
    super(`The configuration has ${count}:\n${lines.join('\n')}`);
    this.flaws = flaws;
  }
}

/**
 * RedisUnavailableError says that there is no usable Redis. Its message says what was expected, what was
 * found and what to do. Entry points print only the message, because a stack trace would bury the message,
 * and exit with code 1.
 */
export class RedisUnavailableError extends SetupError {
  override readonly name = 'RedisUnavailableError';
  readonly code = 'redis_unavailable';
}
