import { spawnSync } from 'node:child_process';
import { o3q } from '../../support/process/o3q.ts';

/** What the script of a shell gets for the words of a command line, the last one unfinished. */
async function completed(...words: string[]): Promise<string[]> {
  const { code, stdout } = await o3q(['complete', '--', ...words]);
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.pop()).toMatch(/^:\d+$/);
  return lines.map((line) => line.split('\t')[0] ?? '');
}

it('completes commands, options and the values of an option', async () => {
  expect(await completed('st')).toEqual(['status', 'start']);
  expect(await completed('list', '--s')).toEqual(['--status', '--since']);
  expect(await completed('list', '--status', 'c')).toEqual(['completed', 'cancelled']);
  expect(await completed('complet')).toEqual(['completion']);
});

it.each(['bash', 'zsh', 'fish'])('prints a script that %s can read', async (shell) => {
  const { code, stdout, stderr } = await o3q(['completion', shell]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/o3q complete --/);
  const checked = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
  // A shell that this machine lacks cannot read anything.
  if (checked.error === undefined) expect(checked).toMatchObject({ status: 0, stderr: '' });
});

it('refuses a shell that it does not know', async () => {
  expect(await o3q(['completion', 'csh'])).toMatchObject({ code: 2, stdout: '' });
});
