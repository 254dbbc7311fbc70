import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');

/** Literal is a value as JSON, and the type that it should have. */
export interface Literal {
  /** Such as `import('kubernetes-models/v1').IService`. */
  type: string;
  json: string;
}

/**
 * errorsOfLiterals compiles values as literals: TypeScript refuses a key that their type does not have, at any
 * depth, where the validation of a schema accepts it.
 *
 * @param files the literals of each file, by its name without an ending.
 * @returns the first line of each error, which begins with its file.
 */
export function errorsOfLiterals(files: Readonly<Record<string, readonly Literal[]>>): string[] {
  const folder = mkdtempSync(join(cacheFolder(), 'literals-'));
  try {
    for (const [name, literals] of Object.entries(files)) {
      const lines = literals.map(({ type, json }, i) => `export const _${i}: ${type} = ${json};\n`);
      writeFileSync(join(folder, `${name}.ts`), lines.join(''));
    }
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    const options = ['--ignoreConfig', '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext'];
    const names = Object.keys(files).map((name) => `${name}.ts`);
    const { stdout } = spawnSync(process.execPath, [compiler, ...options, '--types', '', ...names], {
      cwd: folder,
      encoding: 'utf8',
    });
    return stdout.split('\n').filter((line) => line !== '' && !line.startsWith(' '));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** cacheFolder returns a folder inside the repository, so that imports of files in it find its packages. */
export function cacheFolder(): string {
  const folder = join(ROOT, '.cache');
  mkdirSync(folder, { recursive: true });
  return folder;
}
