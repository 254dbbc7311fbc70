import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { O3Client } from '../../../src/client/o3-client.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';
import { unusedUrl } from '../../support/worlds/scripted-instance.ts';

const COMMANDS = ['ask', 'status', 'result', 'list', 'watch', 'cancel', 'retry', 'audit', 'inspect'];

describe('wrong usage', () => {
  it.each<[string, string[], RegExp]>([
    ['no command', [], /Usage: o3q/],
    ['a command that there is not', ['lst'], /unknown command 'lst'\n\(Did you mean list\?\)/],
    ['an option that there is not', ['list', '--stauts', 'failed'], /Did you mean --status/],
    ['a status that there is not', ['list', '--status', 'done'], /Allowed choices are waiting, delayed/],
    ['a limit of nothing', ['list', '--limit', '0'], /1 or more/],
    ['no id', ['result'], /expected the id of a job/],
    ['no question', ['ask'], /expected a question, got an empty stdin/],
    ['no number', ['ask', 'Why?', '--priority', 'high'], /'high' is invalid. Expected a whole number/],
    ['a number out of range', ['ask', 'Why?', '--max-output-tokens', '3'], /--max-output-tokens: .*16/],
    ['no such effort', ['ask', 'Why?', '--reasoning-effort', 'extreme'], /--reasoning-effort: .*"high"/],
    ['no seconds', ['ask', 'Why?', '--wait', 'soon'], /--wait: expected seconds, got "soon"/],
  ])('ends with 2 and says what was expected: %s', async (_, args, message) => {
    const { code, stdout, stderr } = await o3q(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('the help', () => {
  it('names every command and every exit code', async () => {
    const { code, stdout } = await o3q(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    for (const exitCode of [0, 1, 2, 3, 130]) expect(stdout).toMatch(new RegExp(`^  ${exitCode}  `, 'm'));
  });

  it.each(COMMANDS)('describes %s, also with a wrong O3Q_URL', async (command) => {
    const { code, stdout } = await o3q([command, '--help'], { environment: { O3Q_URL: 'nonsense' } });
    expect(code).toBe(0);
    expect(stdout).toMatch(`Usage: o3q ${command} `);
  });

  it('prints the version', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await o3q(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('without an instance', () => {
  it.each([['list'], ['status', '1'], ['result', '1'], ['watch'], ['cancel', '1'], ['ask', 'Why?']])(
    'o3q %s exits with 1 and says what to do',
    async (...args) => {
      const url = await unusedUrl();
      const { code, stdout, stderr } = await o3q(args, { environment: { O3Q_URL: url } });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(`o3q: No o3-queue answers at ${url}`);
      expect(stderr).toMatch('start one with `npm start` or set O3Q_URL');
    },
  );

  it('o3q names a wrong O3Q_URL', async () => {
    const { code, stderr } = await o3q(['list'], { environment: { O3Q_URL: 'localhost:3000' } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/O3Q_URL.*got "localhost:3000"/);
  });
});

describe('o3q with an instance', () => {
  let instance: Instance;
  let folder: string;

  beforeAll(async () => {
    instance = await startInstance();
    folder = await mkdtemp(join(tmpdir(), 'o3q-env-'));
  });
  afterAll(async () => {
    await instance.stop();
    await rm(folder, { recursive: true });
  });

  it('finds it by a .env file, also one from Windows, over which the environment wins', async () => {
    for (const text of [`O3Q_URL=${instance.url}\n`, `\ufeffO3Q_URL=${instance.url}\r\n`]) {
      await writeFile(join(folder, '.env'), text);
      expect(await o3q(['list', '--json'], { folder })).toMatchObject({ code: 0 });
    }
    const url = await unusedUrl();
    const other = await o3q(['list'], { folder, environment: { O3Q_URL: url } });
    expect(other.stderr).toMatch(url);
  });

  it('prints the refusals of the instance unchanged', async () => {
    const environment = { O3Q_URL: instance.url };
    const unknown = await o3q(['ask', 'Why?', '--model', 'gpt-nonsense'], { environment });
    expect(unknown).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^o3q: .*gpt-nonsense/),
    });
    const missing = await o3q(['result', 'no-such-job', '--wait'], { environment });
    expect(missing).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^o3q: .*no-such-job/),
    });
  });

  it('ends quietly when the reader of its output closes the pipe', async () => {
    const client = new O3Client({ url: instance.url });
    const question = 'q'.repeat(100);
    const jobs = Array.from({ length: 100 }, () => client.enqueue({ question, delay_ms: 3_600_000 }));
    await Promise.all(jobs);
    const program = join(__dirname, '../../../dist/cli/main.js');
    const pipeline = `"${process.execPath}" "${program}" list -n 1000 --json; echo "ended with $?" >&2`;
    const child = spawn('sh', ['-c', `{ ${pipeline}; } | head -n 1`], {
      env: { PATH: process.env['PATH'], O3Q_URL: instance.url },
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(stderr).toBe('ended with 0\n');
  });
});
