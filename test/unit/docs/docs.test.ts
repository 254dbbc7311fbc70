import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HTTP_PROBLEMS } from '../../../producer/http/http-problem.ts';
import { CLIENT_CODES } from '../../../src/client/client-error.ts';
import { VARIABLES } from '../../../src/config/environment.ts';
import { FAILURE_CODES } from '../../../src/errors/failure.ts';
import { JOB_STATUSES } from '../../../src/job/job.ts';

/** rows returns the cells of the tables below a heading, without their headings and rulers. */
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

test('docs/ERRORS.md lists every refusal with its status, and no other', () => {
  const documented = Object.fromEntries(
    rows('docs/ERRORS.md', 'Answers that are refusals').map(([code, status]) => [
      unquoted(code),
      Number(status),
    ]),
  );
  expect(documented).toEqual(HTTP_PROBLEMS);
});

test('docs/ERRORS.md lists every failure with its kind, and no other', () => {
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

test('the README lists every variable with its default and its meaning', () => {
  const documented = Object.fromEntries(
    rows('README.md', 'Configuration')
      .filter(([name]) => /^`[A-Z0-9_]+`$/.test(name ?? ''))
      .map(([name, fallback, meaning]) => [unquoted(name), { default: unquoted(fallback), meaning }]),
  );
  expect(documented).toEqual(VARIABLES);
});

/** The entries of docs/GUARANTEES.md: what happened, and the last line, which names the tests. */
function guarantees(): { title: string; tests: string }[] {
  const [, ...entries] = readFileSync('docs/GUARANTEES.md', 'utf8').split('\n### ');
  return entries.map((entry) => ({
    title: entry.split('\n')[0] ?? '',
    tests: /^- \*\*Test:\*\* (.*)$/m.exec(entry)?.[1] ?? '',
  }));
}

/** The suites and titles that a text names, as `suite` "a part of a title", without those that exist. */
function namedTests(text: string): { hasTests: boolean; missing: string[] } {
  const suites = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.test.ts'),
  );
  const named = [...text.matchAll(/`([\w/-]+)` "([^"]+)"/g)];
  const missing = named
    .filter(([, suite = '', words = '']) => {
      const path = suites.find((candidate) => candidate.endsWith(`/${suite}.test.ts`));
      return path === undefined || !readFileSync(`test/${path}`, 'utf8').includes(words);
    })
    .map(([reference]) => reference);
  return { hasTests: named.length > 0, missing };
}

test('every entry of docs/GUARANTEES.md names tests that exist', () => {
  expect(guarantees().length).toBeGreaterThan(20);
  for (const { title, tests } of guarantees()) {
    expect({ title, ...namedTests(tests) }).toEqual({ title, hasTests: true, missing: [] });
  }
});

test.each([
  'What is learned',
  'What is tolerated',
  'What is filled in',
  'What is refused',
  'Whom a refusal concerns',
])('every row of "%s" in docs/SERVERS.md names tests that exist', (heading) => {
  const listed = rows('docs/SERVERS.md', heading);
  expect(listed.length).toBeGreaterThan(5);
  for (const cells of listed) {
    const row = cells[0];
    expect({ row, ...namedTests(cells.at(-1) ?? '') }).toEqual({ row, hasTests: true, missing: [] });
  }
});

test.each(['docs/SERVERS.md', 'SECURITY.md'])('every test that %s names exists', (file) => {
  expect(namedTests(readFileSync(file, 'utf8'))).toEqual({ hasTests: true, missing: [] });
});

test('every row of "What happens when" in the README is an entry of docs/GUARANTEES.md', () => {
  const titles = guarantees().map(({ title }) => title);
  const listed = rows('README.md', 'What happens when').map(([title]) => title);
  expect(listed.length).toBeGreaterThan(4);
  expect(listed.filter((title) => !titles.includes(title ?? ''))).toEqual([]);
});

test('the diagram of states in docs/ARCHITECTURE.md has exactly the job statuses', () => {
  const diagram =
    /```mermaid\nstateDiagram-v2\n([\s\S]*?)```/.exec(readFileSync('docs/ARCHITECTURE.md', 'utf8'))?.[1] ??
    '';
  const drawn = new Set([...diagram.matchAll(/(\w+) --> (\w+)/g)].flatMap(([, from, to]) => [from, to]));
  expect([...drawn].toSorted()).toEqual([...JOB_STATUSES].toSorted());
});

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`),
].filter((path) => existsSync(path));

/** The anchors of a page, made from its headings as GitHub makes them. */
function anchorsOf(file: string): string[] {
  const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map((match) => match[1] ?? '');
  return headings.map((text) =>
    text
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
}

test.each(PAGES)('every file and heading that %s links to exists', (file) => {
  const links = [...readFileSync(file, 'utf8').matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
  const broken = links.filter(([, path = '', anchor]) => {
    const target = path === '' ? file : join(dirname(file), path);
    return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
  });
  expect(broken.map(([link]) => link)).toEqual([]);
});

test('every runbook of the alerts leads to a section that exists', () => {
  const alerts = readFileSync('deploy/prometheus/alerts.yml', 'utf8');
  const runbooks = [...alerts.matchAll(/runbook: ([^#\s]+)#(\S+)/g)];
  expect(runbooks.length).toBe(alerts.match(/- alert: /g)?.length);
  expect(runbooks.filter(([, page = '', anchor = '']) => !anchorsOf(page).includes(anchor))).toEqual([]);
});

test.each(PAGES)('every file and folder that %s names in code quotes exists', (file) => {
  const named = readFileSync(file, 'utf8').matchAll(
    /`((?:src|worker|producer|cli|simulator|chaos|test|docs|scripts)\/[\w./-]+)`(?! ")/g,
  );
  // NOUN and NAME stand for a name that the reader chooses. A suite with a title behind it is tested above.
  const paths = [...named].map((match) => match[1] ?? '').filter((path) => !/\b(NOUN|NAME)\b/.test(path));
  expect(paths.filter((path) => !existsSync(path))).toEqual([]);
});

test.each(PAGES)('no line of %s is over 160 characters', (file) => {
  const lines = readFileSync(file, 'utf8').split('\n');
  const long = lines.flatMap((line, i) => (line.length > 160 ? [`${file}:${i + 1} has ${line.length}`] : []));
  expect(long).toEqual([]);
});
