import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { SCRIPTS } from '../../src/lua/scripts.ts';

/** Calls counts commands by name. A script of ours is counted by its own name. */
export type Calls = Map<string, number>;

/** OUR_SCRIPTS are the names of all scripts of ours. */
export const OUR_SCRIPTS: ReadonlySet<string> = new Set(SCRIPTS.map(({ name }) => name));

/** CommandCounter counts the commands that clients send. Commands that scripts call do not count. */
export interface CommandCounter {
  /** Counts while `work` is done. */
  during(work: () => Promise<unknown>): Promise<{ calls: Calls; seconds: number }>;
  stop(): void;
}

const NAMES = new Map(SCRIPTS.map(({ sha, name }) => [sha, name]));
/** Matches a line of MONITOR: its source, the command, and the first argument. */
const MONITORED = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]*)"(?: "([^"]*)")?/;

/**
 * countCommands starts to count with MONITOR. Its output is read from a plain socket: ioredis fails if the
 * first line comes in the same packet as the reply to MONITOR.
 */
export async function countCommands(redisUrl: string): Promise<CommandCounter> {
  const { hostname, port } = new URL(redisUrl);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  let calls: Calls = new Map();
  createInterface(socket).on('line', (line) => {
    const [, source, command = '', sha = ''] = MONITORED.exec(line) ?? [];
    if (source === undefined || source === 'lua') return;
    const name = (/^evalsha$/i.test(command) && NAMES.get(sha)) || command.toLowerCase();
    calls.set(name, (calls.get(name) ?? 0) + 1);
  });
  socket.write('MONITOR\r\n');
  return {
    async during(work) {
      const counted: Calls = new Map();
      calls = counted;
      const startedAt = performance.now();
      await work();
      return { calls: new Map(counted), seconds: (performance.now() - startedAt) / 1000 };
    },
    stop: () => socket.destroy(),
  };
}

/**
 * callsPerJob returns the calls of one job beyond those of the same time without jobs, most frequent first.
 */
export function callsPerJob(
  busy: { calls: Calls; seconds: number },
  idle: { calls: Calls; seconds: number },
  jobs: number,
): [command: string, calls: number][] {
  return [...busy.calls]
    .map(([command, calls]): [string, number] => {
      const alone = ((idle.calls.get(command) ?? 0) / idle.seconds) * busy.seconds;
      return [command, (calls - alone) / jobs];
    })
    .sort(([, one], [, other]) => other - one);
}

export function sumOfCalls(calls: readonly [command: string, calls: number][]): number {
  return calls.reduce((total, [, count]) => total + count, 0);
}
