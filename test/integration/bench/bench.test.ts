import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../../support/eventually.ts';

const ROOT = join(__dirname, '../../..');
const PROGRAM = join(ROOT, '.cache/bench/bench/main.js');
const LIMIT_MS = 180_000;

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface Figure {
  name: string;
  rounds: { bare: number[]; ours: number[] };
}

/** Starts the benchmarks in a process group of their own, in which all their processes stay. */
function start(args: string[]): { child: ChildProcess; ended: Promise<Outcome>; stderr(): string } {
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: ROOT, detached: true });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
  return { child, ended, stderr: () => said.stderr };
}

beforeAll(async () => {
  const compiler = join(ROOT, 'node_modules/.bin/tsc');
  await promisify(execFile)(compiler, ['--project', 'tsconfig.bench.json'], { cwd: ROOT });
}, LIMIT_MS);

test(
  'the benchmarks measure o3-queue beside the bare program, and what only o3-queue has',
  async () => {
    const args = ['wait', 'quota', '--scale', '0.01', '--rounds', '2', '--json'];
    const { code, stdout, stderr } = await start(args).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
    const { figures, notes } = JSON.parse(stdout) as { figures: Figure[]; notes: string[] };
    expect(notes.filter((note) => note.includes('failed'))).toEqual([]);
    const rounds = new Map(figures.map((figure) => [figure.name, figure.rounds]));
    expect([...rounds.keys()]).toEqual(['waitP50', 'waitP99', 'quotaPerSecond', 'quotaRedis']);
    const two = [expect.any(Number), expect.any(Number)];
    expect(rounds.get('waitP50')).toEqual({ bare: two, ours: two });
    expect(rounds.get('quotaPerSecond')).toEqual({ bare: [], ours: two });
    expect(
      Math.min(...figures.flatMap((figure) => [...figure.rounds.bare, ...figure.rounds.ours])),
    ).toBeGreaterThan(0);
  },
  LIMIT_MS,
);

test(
  'an interrupted benchmark leaves no process behind',
  async () => {
    const bench = start(['run', '--rounds', '50', '--scale', '0.05']);
    await eventually(() => expect(bench.stderr()).toContain('running jobs: '), LIMIT_MS);
    bench.child.kill('SIGINT');
    const { code, stdout } = await bench.ended;
    expect(code).toBe(130);
    expect(stdout).toContain('run was interrupted.');
    const group = -(bench.child.pid ?? 0);
    expect(() => process.kill(group, 0)).toThrow('ESRCH');
  },
  LIMIT_MS,
);

test(
  'docs/BENCHMARKS.md names commands that exist, and every measurement',
  async () => {
    const { stdout: help } = await start(['--help']).ended;
    const measurements = [...(help.split('Measurements:')[1] ?? '').matchAll(/^ {2}([a-z-]+) /gm)].map(
      ([, name]) => name ?? '',
    );
    const options = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z]+)/gm)].map(([, name]) => name ?? '');
    expect(measurements.length).toBeGreaterThan(5);
    const page = readFileSync(join(ROOT, 'docs/BENCHMARKS.md'), 'utf8');
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts)).toContain('bench');
    const commands = [...page.matchAll(/npm run bench(?: -- ([^`\n#]*))?/g)];
    expect(commands.length).toBeGreaterThan(1);
    const words = commands.flatMap(([, args = '']) => args.trim().split(/\s+/)).filter(Boolean);
    expect(
      words.filter((word) => !/^\d/.test(word) && ![...measurements, ...options].includes(word)),
    ).toEqual([]);
    const described = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name ?? '');
    expect(described.toSorted()).toEqual(measurements.toSorted());
  },
  LIMIT_MS,
);
