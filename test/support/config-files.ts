import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/environment.ts';
import { defaultHttp, defaultModels } from '../../src/config/file.ts';
import { ConfigError } from '../../src/errors/setup-error.ts';

/** DEFAULTS are what holds without a file. */
export const DEFAULTS = { ...defaultModels(), http: defaultHttp(), hasBuiltInModels: true };

/** WEBHOOK_SECRET is the shortest that is taken: 24 bytes. */
export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;

/** useConfigFiles returns a function that writes a configuration file and returns its path. */
export function useConfigFiles(): (content: unknown) => string {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'o3q-config-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return (content) => {
    const path = join(folder, 'o3q.config.json');
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  };
}

/** flawsIn returns each flaw of a configuration as `path: message`. */
export function flawsIn(environment: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(environment);
  } catch (error: unknown) {
    if (error instanceof ConfigError) return error.flaws.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
  return [];
}

/** messageOf returns the message with which a configuration is refused. */
export function messageOf(environment: NodeJS.ProcessEnv): string {
  try {
    readConfig(environment);
  } catch (error: unknown) {
    if (error instanceof Error) return error.message;
  }
  throw new Error('expected the configuration to be refused');
}
