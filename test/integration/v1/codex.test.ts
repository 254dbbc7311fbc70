import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openCuttingProxy } from '../../support/http/cutting-proxy.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * OpenAI's Codex, as `codex exec`. Its package has 172 MB, so no test installs it, and CI does without. To
 * run this test:
 *
 *   npm install --prefix .cache/codex @openai/codex@0.171.0
 */
const CODEX = resolve('.cache/codex/node_modules/.bin/codex');
const LIMIT_MS = 120_000;

const isInstalled = existsSync(CODEX);
if (!isInstalled) process.stderr.write('\nSKIPPED: the tests of Codex, which is not in .cache/codex.\n');

(isInstalled ? describe : describe.skip)('Codex', () => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await startInstance({ simulator: { thinkMs: 1000 } });
  });
  afterAll(() => instance.stop());
  beforeEach(() => instance.simulator.ledger.reset());

  it(
    'answers',
    async () => {
      const { text } = await codex(instance.url, 'Answer?');
      expect(text).toContain('You asked o3: "Answer?"');
      expect(instance.simulator.ledger.totals().purchases).toBe(1);
    },
    LIMIT_MS,
  );

  it(
    'runs a command that the model asks for',
    async () => {
      const { text, commands } = await codex(
        instance.url,
        'Call exec_command with {"cmd": "echo $((40 + 2))"}.',
      );
      expect(commands).toEqual([expect.objectContaining({ aggregated_output: '42\n', exit_code: 0 })]);
      expect(text).toContain('Output: 42');
      expect(instance.simulator.ledger.totals().purchases).toBe(2);
    },
    LIMIT_MS,
  );

  it(
    'answers in a schema',
    async () => {
      const schema = {
        type: 'object',
        properties: { count: { type: 'integer', minimum: 3 } },
        required: ['count'],
        additionalProperties: false,
      };
      const file = join(mkdtempSync(join(tmpdir(), 'codex-')), 'schema.json');
      writeFileSync(file, JSON.stringify(schema));
      const { text } = await codex(instance.url, 'Count?', ['--output-schema', file]);
      expect(JSON.parse(text)).toEqual({ count: 3 });
    },
    LIMIT_MS,
  );

  it(
    'asks again after its connection broke before the first item, and gets the same response',
    async () => {
      let calls = 0;
      const proxy = await openCuttingProxy({
        target: instance.url,
        // Later it would be another request: Codex adds the reasoning that it has read to its next try.
        isCut: (path) => {
          if (path.endsWith('/responses')) calls += 1;
          return calls === 1;
        },
        cutAt: () => 'response.created',
      });
      try {
        const { text } = await codex(proxy.url, 'Cut?');
        expect(text).toContain('You asked o3: "Cut?"');
        expect(text.match(/This is a simulated answer/g)).toHaveLength(1);
        expect(proxy.broken()).toBe(1);
        expect(instance.simulator.ledger.totals().purchases).toBe(1);
      } finally {
        await proxy.close();
      }
    },
    LIMIT_MS,
  );
});

/** codex runs `codex exec` in an empty folder. @returns its last message, and the commands that it ran. */
async function codex(
  url: string,
  question: string,
  more: readonly string[] = [],
): Promise<{ text: string; commands: object[] }> {
  const home = mkdtempSync(join(tmpdir(), 'codex-'));
  const provider = `name = "o3q"\nbase_url = "${url}/v1"\nwire_api = "responses"\nenv_key = "O3Q_API_KEY"\n`;
  const config = `model = "o3"\nmodel_provider = "o3q"\n[model_providers.o3q]\n${provider}`;
  writeFileSync(join(home, 'config.toml'), config);
  const args = [
    'exec',
    '--json',
    '--skip-git-repo-check',
    '--sandbox',
    'danger-full-access',
    ...more,
    question,
  ];
  const env = { PATH: process.env['PATH'], HOME: home, CODEX_HOME: home, O3Q_API_KEY: 'any' };
  const lines = await new Promise<string>((resolveRun, reject) => {
    const child = execFile(CODEX, args, { cwd: home, env, timeout: LIMIT_MS }, (error, stdout, stderr) => {
      if (error === null) resolveRun(stdout);
      else reject(new Error(`codex failed: ${stderr}${stdout}`, { cause: error }));
    });
    child.stdin?.end();
  });
  const events = lines.split('\n').filter((line) => line.startsWith('{'));
  const items = events
    .map((line) => JSON.parse(line) as { type: string; item?: { type: string; text?: string } })
    .flatMap(({ type, item }) => (type === 'item.completed' && item !== undefined ? [item] : []));
  return {
    text: items.findLast(({ type }) => type === 'agent_message')?.text ?? '',
    commands: items.filter(({ type }) => type === 'command_execution'),
  };
}
