import { readFileSync } from 'node:fs';
import { CASES, CLIENTS, cutsOf } from '../../support/openai/client-cases.ts';

const { dependencies } = manifest('openai-clients');

function manifest(folder: string): { dependencies: Record<string, string> } {
  return JSON.parse(readFileSync(`test/support/${folder}/package.json`, 'utf8'));
}

test('docs/CLIENTS.md lists the clients that v1/clients runs: version, APIs and what each does', () => {
  const page = readFileSync('docs/CLIENTS.md', 'utf8');
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, 5)
        .map((cell) => cell.trim()),
    );
  const APIS = { responses: 'Responses', chat: 'Chat', events: 'events' };
  const packages = [...new Set(CLIENTS.map((client) => client.package))];
  const tested = packages.map((name) => {
    const own = CLIENTS.filter((client) => client.package === name);
    const given = dependencies[name] ?? '';
    const [first] = own;
    const cases = first?.cases.map((kind) => CASES[kind]) ?? [];
    const cut = first !== undefined && cutsOf(first).length > 0 ? ['cut'] : [];
    return [
      `\`${given.startsWith('npm:') ? given.slice('npm:'.length).split('@')[0] : name}\``,
      given.split('@').at(-1),
      own.map(({ api }) => APIS[api]).join(', '),
      [...cases, ...cut].join(', '),
    ];
  });
  expect(rows).toEqual(tested);
  expect(page).toContain(`\`ai\` is tried in version ${dependencies['ai']}.`);
});

test('docs/AGENTS.md lists the clients that mcp/clients runs, in their versions', () => {
  const page = readFileSync('docs/AGENTS.md', 'utf8');
  const rows = [...page.matchAll(/^\| `([^`]+)` \| (\d+\.\d+\.\d+) \|/gm)].map(([, name, version]) => [
    name,
    version,
  ]);
  // What the programs use beside the clients.
  const helpers = ['@langchain/core', 'openai', 'zod'];
  const clients = Object.entries(manifest('mcp-clients').dependencies).filter(
    ([name]) => !helpers.includes(name),
  );
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(clients));
});
