import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VARIABLES } from '../../../src/config/environment.ts';
import { isSecretFile } from '../../../src/config/secret-files.ts';

const ROOT = join(__dirname, '../../..');
const FOLDER = join(ROOT, 'deploy/systemd');
const UNITS = readdirSync(FOLDER).map((name) => ({ name, text: readFileSync(join(FOLDER, name), 'utf8') }));

/** Returns the values of a key, in their order. */
function valuesOf(text: string, key: string): string[] {
  return [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}

describe('the units of systemd', () => {
  it('are one of a producer and one of any number of workers', () => {
    expect(UNITS.map(({ name }) => name).sort()).toEqual(['o3q-producer.service', 'o3q-worker@.service']);
  });

  it('are accepted by systemd', () => {
    if (spawnSync('systemd-analyze', ['--version']).error !== undefined) {
      process.stderr.write('SKIPPED: the units of systemd were not verified, systemd-analyze is missing\n');
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), 'o3q-units-'));
    try {
      for (const { name, text } of UNITS) {
        const path = join(folder, name.replace('@', '@3001'));
        // The program of a unit must exist, so Node is the one that runs the test.
        writeFileSync(path, text.replace('/usr/bin/node', process.execPath));
        const { stderr, status } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
        expect({ name, stderr, status }).toEqual({ name, stderr: '', status: 0 });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each(UNITS)('$name runs a command of o3q, with variables that it knows', ({ text }) => {
    const [, script = '', command = ''] = /^ExecStart=\S+ (\S+) (\w+)$/m.exec(text) ?? [];
    const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: { o3q: string } };
    expect(script).toBe(`/opt/o3-queue/${bin.o3q}`);
    expect(['producer', 'worker']).toContain(command);
    const names = valuesOf(text, 'Environment').flatMap((line) =>
      line.split(' ').map((pair) => pair.split('=', 1)[0] ?? ''),
    );
    const known = (name: string) =>
      name === 'NODE_ENV' || Object.hasOwn(VARIABLES, name) || isSecretFile(name);
    expect(names).toContain('REDIS_URL_FILE');
    expect(names.filter((name) => !known(name))).toEqual([]);
    const credentials = valuesOf(text, 'LoadCredential').map((value) => value.split(':', 1)[0]);
    const read = [...text.matchAll(/_FILE=%d\/(\w+)/g)].map(([, name]) => name);
    expect(read.sort()).toEqual(credentials.sort());
  });

  it.each(UNITS)('$name waits longer than a shutdown takes', ({ text }) => {
    const seconds = Number(valuesOf(text, 'TimeoutStopSec')[0]);
    expect(seconds * 1000).toBeGreaterThan(2 * Number(VARIABLES.O3Q_SHUTDOWN_MS.default));
  });
});
