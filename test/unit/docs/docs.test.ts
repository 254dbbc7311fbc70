import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { HTTP_PROBLEMS } from '../../../producer/http/problem.ts';
import { CLIENT_CODES } from '../../../src/client/client-error.ts';
import { VARIABLES } from '../../../src/config/environment.ts';
import { FAILURE_CODES } from '../../../src/errors/failure.ts';
import { JOB_STATUSES } from '../../../src/job/job.ts';

/** The rows of the tables below a heading, cell by cell; headings and rulers left out. */
function rows(file: string, heading: string): string[][] {
  const text = readFileSync(file, 'utf8');
  const from = text.indexOf(`\n## ${heading}`);
  if (from === -1) throw new Error(`${file} was expected to have the heading "## ${heading}"`);
  const section = text.slice(from + 1).split(/\n## /)[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  return lines
    .filter((line, i) => !/^\|[-| ]+$/.test(line) && !/^\|[-| ]+$/.test(lines[i + 1] ?? ''))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const unquoted = (cell: string | undefined): string => (cell ?? '').replaceAll('`', '');

test('docs/ERRORS.md lists every refusal with its status, and no dead one', () => {
  const documented = Object.fromEntries(
    rows('docs/ERRORS.md', 'Answers that are refusals').map(([code, status]) => [
      unquoted(code),
      Number(status),
    ]),
  );
  expect(documented).toEqual(HTTP_PROBLEMS);
});

test('docs/ERRORS.md lists every failure with its kind, and no dead one', () => {
  const documented = Object.fromEntries(
    rows('docs/ERRORS.md', 'Why a job failed').map(([code, kind]) => [unquoted(code), kind]),
  );
  expect(documented).toEqual(FAILURE_CODES);
});

test('docs/ERRORS.md lists the client’s own codes, and each is used', () => {
  const documented = rows('docs/ERRORS.md', 'Why a call did not get through').map(([code]) => unquoted(code));
  expect(documented).toEqual(CLIENT_CODES);
  const client = readdirSync('src/client').map((file) => readFileSync(`src/client/${file}`, 'utf8'));
  // Once in their own list, and at least once where one is thrown.
  const unused = CLIENT_CODES.filter((code) => client.join('').split(`'${code}'`).length < 3);
  expect(unused).toEqual([]);
});

test('the README lists every variable with its default and meaning', () => {
  const documented = Object.fromEntries(
    rows('README.md', 'Configuration')
      .filter(([name]) => /^`[A-Z0-9_]+`$/.test(name ?? ''))
      .map(([name, fallback, meaning]) => [unquoted(name), { default: unquoted(fallback), meaning }]),
  );
  expect(documented).toEqual(VARIABLES);
});

test('each row of what happens when is held by a test that is there', () => {
  const suites = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.test.ts'),
  );
  const table = rows('README.md', 'What happens when');
  expect(table.length).toBeGreaterThan(15);
  for (const row of table) {
    const named = [...(row.at(-1) ?? '').matchAll(/`([\w/-]+)` "([^"]+)"/g)];
    const missing = named.filter(([, suite = '', title = '']) => {
      const path = suites.find((candidate) => candidate.endsWith(`/${suite}.test.ts`));
      return path === undefined || !readFileSync(`test/${path}`, 'utf8').includes(title);
    });
    expect({ row: row[0], tests: named.length > 0, missing }).toEqual({
      row: row[0],
      tests: true,
      missing: [],
    });
  }
});

test('the diagram of the states and the states are the same', () => {
  const diagram =
    /```mermaid\nstateDiagram-v2\n([\s\S]*?)```/.exec(readFileSync('docs/ARCHITECTURE.md', 'utf8'))?.[1] ??
    '';
  const drawn = new Set([...diagram.matchAll(/(\w+) --> (\w+)/g)].flatMap(([, from, to]) => [from, to]));
  expect([...drawn].toSorted()).toEqual([...JOB_STATUSES].toSorted());
});

test.each([
  'README.md',
  'docs/ARCHITECTURE.md',
  'docs/BATCH.md',
  'docs/OPERATIONS.md',
  'docs/DATA-FORMAT.md',
  'docs/SIMULATOR.md',
])('every file that %s points to exists', (file) => {
  const text = readFileSync(file, 'utf8');
  const folder = file.includes('/') ? 'docs/' : '';
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((match) => match[1] ?? '');
  const missing = links.filter((link) => !existsSync(folder + link));
  expect(missing).toEqual([]);
});
