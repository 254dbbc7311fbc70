// Runs `o3q start` and restarts it after each change of a source file: `npm run dev`.
// Two children, one terminal: the compiler watches the sources, Node watches what the compiler writes.
// A shell line with `&` would not do: a shell without a terminal lets its background jobs ignore Ctrl-C.
import { spawn } from 'node:child_process';

const children = [
  ['node_modules/typescript/bin/tsc', '--project', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'],
  ['--watch', '--watch-preserve-output', 'dist/cli/main.js', 'start', ...process.argv.slice(2)],
].map((args) => spawn(process.execPath, args, { stdio: 'inherit' }));

function stop() {
  for (const child of children) child.kill('SIGTERM');
}

// One without the other would be a server that shows old code, or a compiler that shows nothing.
for (const child of children) child.once('exit', stop);
process.on('SIGTERM', stop);
// Ctrl-C reaches the children from the terminal; a second signal would make `o3q start` hurry.
process.on('SIGINT', () => {});
