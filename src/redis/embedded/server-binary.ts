import { runCommand } from './command.ts';

/** A program that was run with `--version` and proved to be a Redis or Valkey that is new enough. */
export type ServerBinary = {
  readonly path: string;
  readonly name: 'Redis' | 'Valkey';
  readonly version: string;
};

export type JobDetail =
  | { readonly usable: true; readonly binary: ServerBinary }
  | { readonly usable: false; readonly reason: string };

/** What BullMQ asks for. Every Valkey is newer than the Redis 7.2 that it came from. */
export const OLDEST_REDIS = '6.2.0';

const VERSION_TIMEOUT_MS = 10_000;
const VERSION_LINE = /\b(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)/;

export async function inspectServerBinary(path: string): Promise<JobDetail> {
  const outcome = await runCommand(path, ['--version'], { timeoutMs: VERSION_TIMEOUT_MS });
  if (!outcome.ok) return { usable: false, reason: unrunnable(outcome.reason) };
  const found = VERSION_LINE.exec(outcome.output);
  if (found === null) {
    const said = outcome.output.split('\n', 1)[0]?.trim() || '(no output)';
    return { usable: false, reason: `is not a Redis or Valkey server: ${said}` };
  }
  const [, name, major, minor, patch] = found;
  const version = `${major}.${minor}.${patch}`;
  if (name === 'Valkey') return { usable: true, binary: { path, name: 'Valkey', version } };
  if (isOldRedis(version)) {
    return { usable: false, reason: `is Redis ${version}, older than ${OLDEST_REDIS}` };
  }
  return { usable: true, binary: { path, name: 'Redis', version } };
}

/** Takes any version that begins with `major.minor`. */
export function isOldRedis(version: string): boolean {
  return version.localeCompare(OLDEST_REDIS, 'en', { numeric: true }) < 0;
}

function unrunnable(reason: string): string {
  if (reason === 'ENOENT') return 'does not exist';
  if (reason === 'EACCES') return 'cannot be executed (EACCES: not executable, or on a noexec file system)';
  return `cannot be run: ${reason}`;
}
