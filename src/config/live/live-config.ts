import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Flaw } from '../../errors/problem.ts';
import { ConfigError } from '../../errors/setup-error.ts';
import { type Config, configFilesOf, readConfig, secretsOf } from '../environment.ts';
import { mergeConfig } from './merge.ts';

/**
 * LiveConfig is the configuration of a process that reads its files again when they change. A changed
 * configuration is taken over as a whole, or refused as a whole.
 */
export interface LiveConfig {
  /**
   * The configuration in force. Each of its fields is read anew: keep this object, keep no part of it, and read
   * a field when it is needed.
   */
  readonly config: Config;
  /** Every secret that this process has read so far, none of which may appear in a log. */
  readonly secrets: readonly string[];
  /** Whether the files have flaws, so that an older configuration is in force. */
  readonly isRefused: boolean;
  /** Says in a sentence for `/readyz` that the files are refused, if they are. The log has their flaws. */
  troubles(): string[];
  /** Reads the files now. */
  reload(): Reload;
  /** Returns a digest of what the files contain. */
  fingerprint(): Promise<string>;
}

/** Reload is the result of reading the files again. See `Merged` for the lists. */
export type Reload =
  | { kind: 'refused'; flaws: readonly Flaw[] }
  | { kind: 'accepted'; changed: readonly string[]; needsRestart: readonly string[] };

/**
 * createLiveConfig reads the configuration for the first time.
 * @param variables Default: those of the process.
 * @throws {ConfigError}
 */
export function createLiveConfig(variables?: NodeJS.ProcessEnv): LiveConfig {
  const files = configFilesOf(variables);
  const existing = files.filter((path) => existsSync(path));
  let current = readConfig(variables);
  let secrets = secretsOf(current);
  let isRefused = false;
  return {
    config: viewOf(() => current),
    get secrets() {
      return secrets;
    },
    get isRefused() {
      return isRefused;
    },
    troubles: () =>
      isRefused ? ['the changed configuration is refused, the one before stays in force; see the log'] : [],
    reload() {
      try {
        // Without its file at the default path a process would run with the defaults, without any tenant's limits.
        const gone = existing.filter((path) => !existsSync(path));
        if (gone.length > 0) throw new ConfigError(gone.map((path) => ({ path, message: 'is gone' })));
        const { config, changed, needsRestart } = mergeConfig(current, readConfig(variables));
        current = config;
        existing.push(...files.filter((path) => !existing.includes(path) && existsSync(path)));
        secrets = [...new Set([...secrets, ...secretsOf(config)])];
        isRefused = false;
        return { kind: 'accepted', changed, needsRestart };
      } catch (error: unknown) {
        if (!(error instanceof ConfigError)) throw error;
        isRefused = true;
        return { kind: 'refused', flaws: error.flaws };
      }
    },
    async fingerprint() {
      const contents = await Promise.all(
        files.map((path) =>
          readFile(path).catch((error: NodeJS.ErrnoException) => String(error.code ?? error.message)),
        ),
      );
      const digest = createHash('sha256');
      // A line that ends one file must not be taken for the beginning of the next.
      for (const content of contents) digest.update(`${content.length}\n`).update(content);
      return digest.digest('hex');
    },
  };
}

/** viewOf returns an object whose fields are those of the current configuration. */
function viewOf(current: () => Config): Config {
  const names = Object.keys(current()) as (keyof Config)[];
  const fields = names.map((name) => [name, { enumerable: true, get: () => current()[name] }] as const);
  return Object.defineProperties({}, Object.fromEntries(fields)) as Config;
}
