import { spawnSync } from 'node:child_process';
import { o3q } from '../../support/process/o3q.ts';
import { typedIntoBash } from '../../support/process/pty.ts';

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

if (typedIntoBash === undefined) {
  it('completes in a bash that a person types into', () => {
    const sentence = 'Completion in a bash needs Linux, bash and /usr/bin/script';
    if (process.env['CI'] !== undefined) throw new Error(sentence);
    process.stderr.write(`\nSKIPPED. ${sentence}.\n`);
  });
} else {
  const typed = typedIntoBash;
  it('completes in a bash that a person types into, without the package bash-completion', async () => {
    // What bash has added is what it shows behind the typed text.
    const shown = await typed(
      ['o3q can\t', /o3q cancel /],
      ['\u0015o3q list --stat\t', /o3q list --status /],
      ['fai\t', /failed /],
      ['\u0015o3q list --status=com\t', /--status=completed /],
      ['\u0015o3q list --since=$(echo ran >&2) --quer\t', /--query /],
    );
    expect(shown).not.toMatch(/command not found|^ran/m);
  });
}

it('refuses a shell that it does not know', async () => {
  expect(await o3q(['completion', 'csh'])).toMatchObject({ code: 2, stdout: '' });
});
