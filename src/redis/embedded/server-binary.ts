import { runCommand } from './command.ts';

/** ServerBinary is a program whose `--version` output shows a Redis or Valkey that is new enough. */
export type ServerBinary = {
  readonly path: string;
  readonly name: 'Redis' | 'Valkey';
  readonly version: string;
};

/** BinaryInspection says whether a program is a usable server, and if not, why not. */
export type BinaryInspection =
  | { readonly usable: true; readonly binary: ServerBinary }
  | { readonly usable: false; readonly reason: string };

/** The oldest Redis that BullMQ supports. Every Valkey is newer: it began as Redis 7.2. */
export const OLDEST_REDIS = '6.2.0';

const VERSION_TIMEOUT_MS = 10_000;
const VERSION_LINE = /\b(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)/;

/** inspectServerBinary runs a program with `--version` and parses its output. */
export async function inspectServerBinary(path: string): Promise<BinaryInspection> {
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

/** isOldRedis accepts any version that begins with `major.minor`. */
export function isOldRedis(version: string): boolean {
  return version.localeCompare(OLDEST_REDIS, 'en', { numeric: true }) < 0;
}

function unrunnable(reason: string): string {
  if (reason === 'ENOENT') return 'does not exist';
  if (reason === 'EACCES') return 'cannot be executed (EACCES: not executable, or on a noexec file system)';
  return `cannot be run: ${reason}`;
}
