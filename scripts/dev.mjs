// Runs `o3q start` and restarts it after each change of a source file: `npm run dev`.
// Three children, one terminal: the compiler watches the sources and those of the browser, Node watches what
// the compiler writes.
// A shell line with `&` would not do: a shell without a terminal lets its background jobs ignore Ctrl-C.
import { spawn } from 'node:child_process';
import { utimesSync, watch } from 'node:fs';

const COMPILER = 'node_modules/typescript/bin/tsc';
const ENTRY = 'dist/cli/main.js';
/** The producer reads these files when it starts, and does not import them, so Node does not watch them. */
const BROWSER_FILES = 'dist/producer/console/browser';
/** How long no file of them may change before the restart, in milliseconds. */
const QUIET_MS = 200;

const children = [
  [COMPILER, '--project', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'],
  [COMPILER, '--project', 'tsconfig.browser.json', '--watch', '--preserveWatchOutput'],
  ['--watch', '--watch-preserve-output', ENTRY, 'start', ...process.argv.slice(2)],
].map((args) => spawn(process.execPath, args, { stdio: 'inherit' }));

let restart;
const watcher = watch(BROWSER_FILES, () => {
  clearTimeout(restart);
  // To Node this is a change of the entry.
  restart = setTimeout(() => utimesSync(ENTRY, new Date(), new Date()), QUIET_MS);
});

function stop() {
  clearTimeout(restart);
  watcher.close();
  for (const child of children) child.kill('SIGTERM');
}

// One without the others would be a server that shows old code, or a compiler that shows nothing.
for (const child of children) child.once('exit', stop);
process.on('SIGTERM', stop);
// Ctrl-C reaches the children from the terminal; a second signal would make `o3q start` hurry.
process.on('SIGINT', () => {});
