import type { Flaw } from './problem.ts';

/**
 * SetupError is what keeps a process from starting or going on. Its message tells the person who started the
 * process what to do; a stack would not help.
 */
export abstract class SetupError extends Error {}

/**
 * ConfigError lists everything that is wrong with a configuration, by name, so that it can be mended in one
 * go.
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
