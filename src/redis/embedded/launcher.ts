import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisUnavailableError } from '../../errors/setup-error.ts';
import { askLocalPort } from './local-port.ts';
import type { ServerBinary } from './server-binary.ts';

/** ServerExit says how a server ended. */
export type ServerExit = {
  /** Whether `stop()` was called. Otherwise the server died, and the program cannot go on. */
  readonly expected: boolean;
  /** The exit code; 128 + n when signal n ended the server. */
  readonly exitCode: number;
  /** The last lines of the server's log. */
  readonly logTail: string;
};

/** LaunchedServer is a server that answers on its port. */
export type LaunchedServer = {
  readonly port: number;
  /** The process id of the server itself, not of the shell around it. */
  readonly pid: number;
  /** Resolves when the server has ended, expected or not. It never rejects. */
  readonly exited: Promise<ServerExit>;
  stop(): Promise<void>;
};

/** LaunchOptions are what the server is started with. */
export type LaunchOptions = {
  readonly binary: ServerBinary;
  /** An absolute path of an existing folder that this process owns (see owner-file.ts). */
  readonly dataDir: string;
  readonly appendOnly: boolean;
  /** The password that clients need; undefined: every client of this machine may use the server. */
  readonly password: string | undefined;
  readonly port: number;
};

/** PortInUseError means that another program has the port; the caller tries another port. */
export class PortInUseError extends RedisUnavailableError {}

/**
 * SHELL_SCRIPT is the script of the shell that runs the server. The shell has a process group of its own, and
 * a pipe from this process on fd 3.
 * - Because the shell has its own group, Ctrl-C in the terminal leaves Redis running until the workers have
 *   closed.
 * - The pipe ends whenever this process ends, even by SIGKILL, and then the shell stops the server cleanly.
 * - stdout carries one line, the server's pid. The log goes to a file, so that no slow reader can block the
 *   server.
 * - The waiting subshell is killed at the end: otherwise it could signal a pid that now belongs to another
 *   process.
 */
const SHELL_SCRIPT = `exec 3<&0 2>>"$1"
shift
"$0" "$@" </dev/null >&2 3<&- &
server=$!
echo "$server"
exec >&-
trap "" TERM INT HUP
(while read -r _ <&3; do :; done; kill -TERM "$server") &
watcher=$!
wait "$server"
status=$?
kill -KILL "$watcher" 2>/dev/null
exit "$status"`;

const READY_LIMIT_MS = 30_000;
const READY_POLL_MS = 5;
const STOP_LIMIT_MS = 10_000;
const LOG_TAIL_LINES = 6;

/**
 * launchServer starts a server and resolves when it answers on its port.
 * @throws RedisUnavailableError with the last lines of the server's log; PortInUseError when the port is
 * taken.
 */
export async function launchServer(options: LaunchOptions): Promise<LaunchedServer> {
  const logFile = join(options.dataDir, 'redis.log');
  // This process creates the log, not the shell, so that the error names a folder that cannot be written.
  await writeFile(logFile, '', { mode: 0o600 });
  // The password is not an argument, because every user of the machine sees the arguments of a process.
  const configFile = join(options.dataDir, 'redis.conf');
  const { password } = options;
  const config = password === undefined ? '' : `requirepass ${password}\n`;
  await writeFile(configFile, config, { mode: 0o600 });
  const serverArgs = [configFile, ...serverArguments(options)];
  const shellArgs = ['-c', SHELL_SCRIPT, options.binary.path, logFile, ...serverArgs];
  const shell = spawn('/bin/sh', shellArgs, { detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  // The pipe fails when the shell is gone; `exited` reports that.
  shell.stdin.on('error', () => undefined);

  let stopping = false;
  const exited = exitOf(shell, logFile, () => stopping);
  const pid = await pidFrom(shell.stdout);
  const stop = async () => {
    stopping = true;
    shell.stdin.end();
    const limit = setTimeout(() => killQuietly(pid), STOP_LIMIT_MS);
    await exited;
    clearTimeout(limit);
  };

  const giveUp = new AbortController();
  const outcome = await Promise.race([exited, untilReady(options, pid, giveUp.signal)]);
  giveUp.abort();
  if (outcome === 'ready') return { port: options.port, pid, exited, stop };
  if (outcome === 'too late') {
    await stop();
    throw new RedisUnavailableError(
      `The embedded Redis did not answer on 127.0.0.1:${options.port} within ${READY_LIMIT_MS / 1000} s. ` +
        `Its log: ${logFile}`,
    );
  }
  const text =
    `The embedded Redis (${options.binary.path}) ended at once with exit code ${outcome.exitCode}. ` +
    `The end of its log, ${logFile}:\n${outcome.logTail}`;
  if (/Address already in use/i.test(outcome.logTail)) throw new PortInUseError(text);
  throw new RedisUnavailableError(text);
}

function serverArguments({ dataDir, appendOnly, port }: LaunchOptions): string[] {
  return [
    ...['--bind', '127.0.0.1', '--port', String(port), '--dir', dataDir],
    ...['--maxmemory-policy', 'noeviction', '--save', ''],
    ...(appendOnly ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no']),
  ];
}

/**
 * A PONG alone is not enough: if another Redis won the port, that Redis would answer. So the pid must match,
 * too.
 */
async function untilReady(
  { port, password }: LaunchOptions,
  pid: number,
  giveUp: AbortSignal,
): Promise<'ready' | 'too late'> {
  const deadlineMs = Date.now() + READY_LIMIT_MS;
  while (Date.now() < deadlineMs && !giveUp.aborted) {
    const server = await askLocalPort(port, password);
    if (server.kind === 'redis' && server.ready && server.pid === pid) return 'ready';
    await delay(READY_POLL_MS);
  }
  return 'too late';
}

function pidFrom(stdout: Readable): Promise<number> {
  return new Promise((resolve) => {
    let text = '';
    stdout.setEncoding('utf8');
    stdout.on('data', (part: string) => {
      text += part;
    });
    stdout.on('close', () => resolve(Number.parseInt(text, 10)));
  });
}

function exitOf(shell: ChildProcess, logFile: string, isStopping: () => boolean): Promise<ServerExit> {
  return new Promise((resolve) => {
    const finish = async (exitCode: number, fallbackLog: string) => {
      const expected = isStopping();
      const log = await readFile(logFile, 'utf8').catch(() => '');
      const logTail = log.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n') || fallbackLog;
      resolve({ expected, exitCode, logTail });
    };
    shell.once('error', (error) => void finish(127, error.message));
    shell.once('exit', (code, signal) => {
      void finish(code ?? (signal === null ? 0 : 128 + constants.signals[signal]), '(the log is empty)');
    });
  });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process ended by itself in the meantime.
  }
}
