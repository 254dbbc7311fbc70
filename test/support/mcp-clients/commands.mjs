// The commands of coding agents that add, list and show a server, in a home of their own. No model is asked.
// argv: the URL of an instance, the path of `o3q`. Prints what each has said, as JSON.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { print } from './shared.mjs';

const [at, program] = process.argv.slice(2);
const url = new URL('/mcp', at).href;
const home = mkdtempSync(join(process.env.HOME, 'home-'));
const stdio = ['--', process.execPath, program, 'mcp'];

// Gemini CLI connects to nothing in a folder that its user has not trusted.
mkdirSync(join(home, '.gemini'));
writeFileSync(join(home, '.gemini', 'trustedFolders.json'), JSON.stringify({ [home]: 'TRUST_FOLDER' }));

function say(name, ...args) {
  const options = { cwd: home, env: { PATH: process.env.PATH, HOME: home }, timeout: 60_000 };
  return new Promise((resolve, reject) => {
    const file = new URL(`node_modules/.bin/${name}`, import.meta.url).pathname;
    execFile(file, ['mcp', ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(`${stdout}${stderr}`);
      else reject(new Error(`${name} mcp ${args.join(' ')}: ${error.message}\n${stdout}`));
    });
  });
}

await say('claude', 'add', '--transport', 'http', 'o3', url);
await say('claude', 'add', 'o3-stdio', '-e', `O3Q_URL=${at}`, ...stdio);
await say('codex', 'add', 'o3', '--url', url);
await say('codex', 'add', 'o3-stdio', '--env', `O3Q_URL=${at}`, ...stdio);
await say('gemini', 'add', '-s', 'user', '--transport', 'http', 'o3', url);
await say('gemini', 'add', '-s', 'user', '-e', `O3Q_URL=${at}`, 'o3-stdio', ...stdio.slice(1));
const [claude, claudeHttp, claudeStdio, codex, codexHttp, gemini] = await Promise.all([
  say('claude', 'list'),
  say('claude', 'get', 'o3'),
  say('claude', 'get', 'o3-stdio'),
  say('codex', 'list'),
  say('codex', 'get', 'o3'),
  say('gemini', 'list'),
]);
print({ claude, claudeHttp, claudeStdio, codex, codexHttp, gemini });
