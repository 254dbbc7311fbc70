// The Inspector's command line. It starts once for each call.
import { execFile } from 'node:child_process';
import { textOf } from './shared.mjs';

export async function open(way, { url, command, args, env }) {
  const target =
    way === 'http'
      ? [url, '--transport', 'http']
      : [...Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]), command, ...args];
  const call = (method, more = []) =>
    new Promise((resolve, reject) => {
      const all = ['--cli', ...target, '--method', method, ...more];
      execFile('node_modules/.bin/mcp-inspector', all, (error, stdout, stderr) => {
        try {
          resolve(JSON.parse(stdout));
        } catch {
          reject(new Error(`mcp-inspector ${all.join(' ')}: ${error?.message}\n${stdout}${stderr}`));
        }
      });
    });
  return {
    listTools: async () => (await call('tools/list')).tools.map(({ name }) => name),
    callTool: async (name, args) => {
      const pairs = Object.entries(args).flatMap(([key, value]) => ['--tool-arg', `${key}=${value}`]);
      const { content, isError = false } = await call('tools/call', ['--tool-name', name, ...pairs]);
      return { text: textOf(content), isError };
    },
    close: async () => {},
  };
}
