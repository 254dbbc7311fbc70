import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** ROOMS are the top-level folders of code. */
export const ROOMS = ['src', 'producer', 'worker', 'simulator', 'cli', 'chaos', 'bench'] as const;

export interface SourceFile {
  path: string;
  text: string;
  lines: number;
  imports: string[];
}

/** files are all files of code, read once. */
export const files = ROOMS.flatMap((room) =>
  readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name): SourceFile => {
      const path = join(room, name);
      const text = readFileSync(path, 'utf8');
      const found = text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g);
      return {
        path,
        text,
        lines: text.split('\n').length - 1,
        imports: [...found].map((match) => match[1] ?? ''),
      };
    }),
);

/** roomOf returns the room of a file. */
export const roomOf = (path: string): string => path.split('/')[0] ?? '';
/** local returns the files that a file imports, from the top of the repository. */
export const local = (file: SourceFile): string[] =>
  file.imports
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(file.path), name)));
/**
 * expectNone fails with the offenders and the rule.
 * @param rule which wall was broken, why it stands, and what to do instead.
 */
export function expectNone(offenders: string[], rule: string): void {
  expect({ rule, offenders }).toEqual({ rule, offenders: [] });
}
