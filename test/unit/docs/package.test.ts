import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const NPM_LIMIT_MS = 120_000;

test(
  'the package has every file that the README links to, pictures included',
  async () => {
    const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      maxBuffer: 64 * 1024 ** 2,
    });
    const [packed] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const files = packed.files.map(({ path }) => path);
    const links = [...readFileSync('README.md', 'utf8').matchAll(/\]\(([^)#]+)[^)]*\)/g)]
      .map((match) => match[1] ?? '')
      .filter((link) => !/^[a-z]+:/.test(link));
    expect(links.length).toBeGreaterThan(15);
    const missing = links.filter(
      (link) => !files.some((path) => path === link || path.startsWith(`${link}/`)),
    );
    expect(missing).toEqual([]);
  },
  NPM_LIMIT_MS,
);
