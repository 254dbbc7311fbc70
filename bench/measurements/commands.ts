import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { sleep } from '../../src/async/sleep.ts';
import { SCRIPTS } from '../../src/lua/scripts.ts';
import { inTurns, type Measurement, scaled } from '../measurement.ts';
import { applyLoad } from '../rig/http-load.ts';
import { QUESTION } from '../rig/jobs.ts';
import { withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const JOBS = 4;
/** As in `npm run chaos -- commands`: long enough for a stream of several pieces. */
const THINK_MS = 1500;
/** How long after a job a worker may take to write its last record of it, in milliseconds. */
const QUIET_MS = 1500;
const IDLE_MS = 6000;
const OUR_SCRIPTS = new Map(SCRIPTS.map(({ sha, name }) => [sha, name]));
/** A script belongs to a job if a job calls it at least so often, beyond the calls without jobs. */
const FEWEST_CALLS = 0.7;
/** Matches a line of MONITOR: its source, the command, and the first argument. */
const MONITORED = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]*)"(?: "([^"]*)")?/;

/** Calls counts commands by name; a script of ours is counted by its own name. */
type Calls = Map<string, number>;

/** commands counts what one job sends to Redis, beyond what both sides send without jobs. */
export const commands: Measurement = {
  name: 'commands',
  description: 'commands and scripts of a plain job that runs alone',
  measure: (stage) =>
    withRig(stage, { workers: 1, thinkMs: THINK_MS }, async ({ fleet, sides }) => {
      const { signal, tally, progress } = stage;
      const counter = await countCommands(fleet.redis.url);
      try {
        const ask = (side: Side, requests: number) =>
          applyLoad({
            url: side.url,
            path: '/jobs?wait=60',
            body: { question: QUESTION },
            expected: 200,
            callers: 1,
            until: { requests },
            signal,
          });
        for (const side of Object.values(sides)) await ask(side, 1);
        await sleep(QUIET_MS, signal);
        progress('counting commands: without jobs');
        const idle = await counter.during(() => sleep(scaled(stage, IDLE_MS, 2000), signal));
        await inTurns(stage, 'counting commands', async (name) => {
          const jobs = scaled(stage, JOBS, 3);
          const busy = await counter.during(async () => {
            await ask(sides[name], jobs);
            await sleep(QUIET_MS, signal);
          });
          const perJob = [...busy.calls].map(([command, calls]): [string, number] => {
            const alone = ((idle.calls.get(command) ?? 0) / idle.seconds) * busy.seconds;
            return [command, (calls - alone) / jobs];
          });
          tally.add('commands', name, sum(perJob));
          if (name === 'bare') return;
          const scripts = perJob.filter(
            ([command, calls]) => [...OUR_SCRIPTS.values()].includes(command) && calls >= FEWEST_CALLS,
          );
          tally.add('scriptCalls', name, sum(scripts));
          tally.add('scripts', name, scripts.length);
          stage.say(scripts.map(([script, calls]) => `${script} ${calls.toFixed(1)}`).join(', '));
        });
      } finally {
        counter.stop();
      }
    }),
};

function sum(calls: readonly [string, number][]): number {
  return calls.reduce((total, [, count]) => total + count, 0);
}

/**
 * Counts the commands that clients send. Commands that scripts call do not count. The output of MONITOR is
 * read from a plain socket: ioredis fails if the first line comes in the same packet as the reply to MONITOR.
 */
async function countCommands(redisUrl: string): Promise<{
  during(work: () => Promise<unknown>): Promise<{ calls: Calls; seconds: number }>;
  stop(): void;
}> {
  const { hostname, port } = new URL(redisUrl);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  let calls: Calls = new Map();
  createInterface(socket).on('line', (line) => {
    const [, source, command = '', sha = ''] = MONITORED.exec(line) ?? [];
    if (source === undefined || source === 'lua') return;
    const name = (/^evalsha$/i.test(command) && OUR_SCRIPTS.get(sha)) || command.toLowerCase();
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
