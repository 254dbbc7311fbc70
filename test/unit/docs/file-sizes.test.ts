import { dirname } from 'node:path';
import { expectNone, files, local } from '../../support/source-files.ts';

const MOST_LINES = 300;
const MOST_FILES = 12;
/** A file that only one other imports should have at least this many lines, or be a part of its importer. */
const FEWEST_LINES = 30;

/** Folders that may hold more files than MOST_FILES, with the reason. */
const LARGE_FOLDERS: Record<string, string> = {};

/** Files that may be short although only one other file imports them, with the reason. */
const SHORT_FILES: readonly [pattern: RegExp, reason: string][] = [
  [/^cli\/commands\//, 'one file for each command: its name is the command'],
  [
    /^producer\/(routes|openapi\/operations)\//,
    'one file for each group of routes, and one for their documentation',
  ],
  [/^producer\/console\/.*-page\.tsx$/, 'one file for each page'],
  [
    /^producer\/console\/markdown\.ts$/,
    'the one file that makes HTML of foreign words has a test of its own',
  ],
];

describe('size', () => {
  test(`no file has more than ${MOST_LINES} lines`, () => {
    expectNone(
      files.filter(({ lines }) => lines > MOST_LINES).map(({ path, lines }) => `${path}: ${lines} lines`),
      `past ${MOST_LINES} lines there is a second noun in the file: give it a file of its own`,
    );
  });

  test(`no folder holds more than ${MOST_FILES} files`, () => {
    const counts = new Map<string, number>();
    for (const { path } of files) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
    const large = [...counts].filter(([, count]) => count > MOST_FILES);
    expectNone(
      large
        .filter(([folder]) => !(folder in LARGE_FOLDERS))
        .map(([folder, count]) => `${folder}: ${count} files`),
      `a folder of more than ${MOST_FILES} files is a hall in which nothing is found: merge slivers, or ` +
        'split it by a noun',
    );
    expectNone(
      Object.keys(LARGE_FOLDERS).filter((folder) => !large.some(([name]) => name === folder)),
      'these exceptions in LARGE_FOLDERS are not needed any more: remove them',
    );
  });

  test(`no file of fewer than ${FEWEST_LINES} lines is imported by one file only`, () => {
    const importers = new Map<string, number>();
    for (const file of files) {
      for (const target of new Set(local(file))) importers.set(target, (importers.get(target) ?? 0) + 1);
    }
    const slivers = files.filter(({ path, lines }) => lines < FEWEST_LINES && importers.get(path) === 1);
    const unexplained = slivers.filter(({ path }) => !SHORT_FILES.some(([pattern]) => pattern.test(path)));
    expectNone(
      unexplained.map(({ path, lines }) => `${path}: ${lines} lines`),
      'a short file with one importer is a detour for the reader: fold it into its importer, or give a ' +
        'reason in SHORT_FILES',
    );
    expectNone(
      SHORT_FILES.filter(([pattern]) => !slivers.some(({ path }) => pattern.test(path))).map(([pattern]) =>
        String(pattern),
      ),
      'these exceptions in SHORT_FILES match no file any more: remove them',
    );
  });
});
