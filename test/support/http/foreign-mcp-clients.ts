import { execFile } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SOURCE = resolve('test/support/mcp-clients');
const FOLDER = resolve('.cache/mcp-clients');
const O3Q = resolve('dist/cli/main.js');
const RUN_LIMIT_MS = 110_000;

/**
 * RunMcpClient runs a program of test/support/mcp-clients, which uses other people's clients of MCP. The path
 * of `o3q` is added to its arguments.
 *
 * @returns the JSON that it has printed.
 */
export type RunMcpClient = (program: string, args: readonly string[]) => Promise<unknown>;

/**
 * `describe` for tests that need other people's clients of MCP. They have 1.2 GB, so no test installs them, and
 * CI does without. To run these tests:
 *
 *   mkdir -p .cache && cp -r test/support/mcp-clients .cache && npm install --prefix .cache/mcp-clients
 */
export function describeWithMcpClients(name: string, tests: (run: RunMcpClient) => void): void {
  const lack = lackOf();
  if (lack === undefined) cpSync(SOURCE, FOLDER, { recursive: true });
  else process.stderr.write(`\nSKIPPED: the tests of "${name}": ${lack}.\n`);
  (lack === undefined ? describe : describe.skip)(name, () => tests(run));
}

/** Why the tests cannot run; undefined: they can. */
function lackOf(): string | undefined {
  if (!existsSync(join(FOLDER, 'node_modules'))) return 'the clients are not in .cache/mcp-clients';
  const [wanted, installed] = [SOURCE, FOLDER].map((folder) =>
    readFileSync(join(folder, 'package.json'), 'utf8'),
  );
  return wanted === installed ? undefined : 'the clients in .cache/mcp-clients have other versions';
}

function run(program: string, args: readonly string[]): Promise<unknown> {
  return new Promise((resolveRun, reject) => {
    const env = { PATH: process.env['PATH'], HOME: FOLDER };
    const options = { cwd: FOLDER, env, timeout: RUN_LIMIT_MS };
    execFile(process.execPath, [program, ...args, O3Q], options, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`${program} ${args.join(' ')} failed: ${stderr}${stdout}`));
      else resolveRun(JSON.parse(stdout));
    });
  });
}
