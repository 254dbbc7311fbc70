import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Words that make a sentence a riddle, with what to write in their place. The sentences in this code were
 * once a literary translation; a newcomer should not have to guess who does what.
 */
const RIDDLES: readonly [words: RegExp, instead: string][] = [
  [/\bwho(ever|mever)\b/i, 'name it: the worker that …, the caller that …'],
  [/\b(nobody|everybody|somebody)\b/i, 'name it: no worker, all callers, another process'],
  [/\b(for|as|to|that|all) who\b/i, 'name it: for callers that …'],
  [
    /(?<!\b(callers?|person|people|watchers?|readers?) )\bwho (asks?|waits?|watch|reads?)\b/i,
    'name it: the caller that …',
  ],
  [/\bwhatever (becomes|happens|stands|is|was|it)\b/i, 'say which: any …, regardless of …'],
  [/\bwhat is more\b/i, 'leave it out'],
  [/\bas long as there is\b/i, 'say when it ends: until the job is deleted'],
  [
    /\b(const|let|function) told\b|\bTOLD\b/,
    'name what it holds: the reported status, the advertised limits',
  ],
  [/\b(comes?|came|brings?|brought) home\b/i, 'the id arrives, is stored'],
  [/\bin(to)? the line\b|\bout of the line\b|\bstands? in line\b/i, 'in the fair queue'],
  [/\bnone of (these|those)\b/i, 'turn the sentence round: no …'],
  [/\bnow and again\b/i, 'say how often'],
];

const sources = ['src', 'worker', 'producer', 'cli'].flatMap((room) =>
  readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(room, name)),
);
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n');

/** The riddles of a file: place, line, and what to write. */
function riddlesIn(path: string): string[] {
  return linesOf(path).flatMap((line, i) =>
    RIDDLES.filter(([words]) => words.test(line)).map(
      ([, instead]) => `${path}:${i + 1} "${line.trim()}" → ${instead}`,
    ),
  );
}

test('comments, messages and names use no words that leave the reader guessing', () => {
  expect(sources.flatMap(riddlesIn)).toEqual([]);
});

test('documents use no words that leave the reader guessing', () => {
  // Titles of tests are quoted as they are.
  const riddles = documents.flatMap(riddlesIn).filter((riddle) => !riddle.includes('"- **Test:**'));
  expect(riddles).toEqual([]);
});
