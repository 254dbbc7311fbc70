import { describeWithMcpClients } from '../../support/http/foreign-mcp-clients.ts';
import { viewOf } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** Other people's clients, frameworks and coding agents, unmodified, over HTTP and over `o3q mcp`. */

const LIMIT_MS = 120_000;
const TOOLS = ['ask_o3', 'check_o3_status', 'get_o3_result', 'list_o3_tasks', 'cancel_o3'];

/**
 * Each client, its way, and its name in the metadata of its jobs. Over HTTP a client of the revisions before
 * 2026-07-28 has only the name of its `User-Agent`.
 */
const CLIENTS = [
  ['sdk-1', 'http', 'node'],
  ['sdk-1', 'stdio', 'sdk-1'],
  ['agents', 'http', 'o3'],
  ['agents', 'stdio', 'o3'],
  ['ai-sdk', 'http', 'ai-sdk-mcp-client'],
  ['ai-sdk', 'stdio', 'ai-sdk-mcp-client'],
  ['langchain', 'http', 'node'],
  ['langchain', 'stdio', '@langchain/mcp-adapters'],
  ['inspector', 'http', 'node'],
  ['inspector', 'stdio', 'inspector-cli'],
] as const;

/** Each agent that runs a whole loop of tools, its name, and the tools that it calls. */
const LOOPS = [
  ['loop', 'loop-agent', ['ask_o3', 'run_tests', 'check_o3_status', 'write_file', 'get_o3_result']],
  ['codex-loop', 'codex-mcp-client', ['ask_o3', 'exec_command', 'get_o3_result']],
  ['claude-loop', 'claude-code', ['mcp__o3__ask_o3', 'Bash', 'mcp__o3__get_o3_result']],
] as const;

interface Told {
  text: string;
  isError: boolean;
}
type Step = 'asked' | 'status' | 'result' | 'joined' | 'again' | 'unknown' | 'cancelled';
type Seen = Record<Step, Told> & { question: string; tools: string[]; id: string; slowId: string };

/** A call of a tool in a loop. */
interface Call {
  tool: string;
  args: Record<string, unknown>;
  result: string;
}

describeWithMcpClients('other clients of MCP', (run) => {
  /** Its model thinks for two seconds. */
  let instance: Instance;
  /** Its model thinks for longer than any test. */
  let slow: Instance;
  beforeAll(async () => {
    [instance, slow] = await Promise.all([
      startInstance({ simulator: { thinkMs: 2000, answer: ({ text }) => `Because of ${text}` } }),
      startInstance({ simulator: { thinkMs: 3_600_000 } }),
    ]);
  });
  afterAll(() => Promise.all([instance.stop(), slow.stop()]));

  it.each(CLIENTS)(
    '%s over %s asks, reads, joins, buys again and cancels, as %s',
    async (program, way, agent) => {
      const seen = (await run('run.mjs', [program, way, instance.url, slow.url])) as Seen;
      const { question, id, slowId } = seen;
      expect(seen.tools).toEqual(TOOLS);
      const stands = { isError: false, text: expect.stringMatching(new RegExp(`^${id} is `)) };
      expect(seen.asked).toMatchObject(stands);
      expect(seen.status).toMatchObject(stands);
      expect(seen.result).toMatchObject({
        isError: false,
        text: expect.stringMatching(/^Because of .*\[job_/s),
      });
      expect(seen.joined.text).toMatch(new RegExp(`${id}.* You asked the same .* ago, so this is that job`));
      expect(seen.again.text).toMatch(/^Because of /);
      expect(seen.again.text).not.toContain(id);
      expect(seen.unknown).toMatchObject({
        isError: true,
        text: expect.stringContaining('Your latest jobs:'),
      });
      expect(boughtOf(instance, question)).toEqual(['completed', 'completed']);
      expect(await viewOf(instance.url, id)).toMatchObject({ metadata: { agent } });

      expect(seen.cancelled).toMatchObject({ isError: false, text: expect.stringContaining(slowId) });
      expect(await viewOf(slow.url, slowId)).toMatchObject({ status: 'cancelled', metadata: { agent } });
      expect(boughtOf(slow, `${program} cancels over ${way}?`)).toEqual(['cancelled']);
    },
    LIMIT_MS,
  );

  it.each(LOOPS)(
    '%s, which is %s, asks, works on, comes back and uses the answer, which is bought once',
    async (program, agent, tools) => {
      const before = instance.simulator.ledger.totals().purchases;
      const seen = (await run(`${program}.mjs`, [instance.url])) as {
        transcript: Call[];
        finalOutput: string;
      };
      expect(seen.transcript.map(({ tool }) => tool)).toEqual(tools);
      const [asked, ...rest] = seen.transcript;
      const [id = ''] = /^job_\w+/.exec(asked?.result ?? '') ?? [];
      const read = rest.at(-1);
      expect(read).toMatchObject({
        args: { id, wait_s: 50 },
        result: expect.stringContaining('Because of '),
      });
      expect(seen.finalOutput).toMatch(/^o3 says: .*Because of .*Why does it expire twice\?/s);
      expect(instance.simulator.ledger.totals().purchases).toBe(before + 1);
      expect(await viewOf(instance.url, id)).toMatchObject({ status: 'completed', metadata: { agent } });
      process.stdout.write(`${program}:\n${transcriptOf(seen.transcript, seen.finalOutput)}\n`);
    },
    LIMIT_MS,
  );

  it(
    'claude, codex and gemini add, list and show the server by the commands of docs/AGENTS.md',
    async () => {
      const said = (await run('commands.mjs', [instance.url])) as Record<string, string>;
      const { url } = instance;
      expect(said['claude']).toMatch(/^o3: .*\/mcp \(HTTP\) - \S Connected$/m);
      expect(said['claude']).toMatch(/^o3-stdio: .* mcp - \S Connected$/m);
      expect(said['claudeHttp']).toMatch(/Status: \S Connected\n {2}Type: http\n {2}URL: /);
      expect(said['claudeStdio']).toMatch(/Status: \S Connected\n {2}Type: stdio\n/);
      expect(said['codex']).toMatch(/^o3-stdio .* mcp .* enabled /m);
      expect(said['codex']).toMatch(new RegExp(`^o3 +${url}/mcp .* enabled `, 'm'));
      expect(said['codexHttp']).toContain('transport: streamable_http');
      expect(said['gemini']).toMatch(/^\S o3: .* \(http\) - Connected$/m);
      expect(said['gemini']).toMatch(/^\S o3-stdio: .* mcp \(stdio\) - Connected$/m);
    },
    LIMIT_MS,
  );
});

/** How the responses stand that were bought for a question. */
function boughtOf({ simulator }: Instance, question: string): string[] {
  return simulator.ledger
    .entries()
    .filter((entry) => entry.question === question)
    .map(({ state }) => state);
}

/** A transcript as docs/AGENTS.md shows it. */
function transcriptOf(calls: readonly Call[], finalOutput: string): string {
  const lines = calls.flatMap(({ tool, args, result }) => [
    `→ ${tool} ${JSON.stringify(args)}`,
    `← ${result.trim()}`,
  ]);
  return [...lines, finalOutput].join('\n');
}
