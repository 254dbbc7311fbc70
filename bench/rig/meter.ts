import { readFile } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import type { Child } from '../../chaos/fleet/child.ts';

/** RedisUse counts what Redis has done since its start. */
interface RedisUse {
  /** Commands, including those that scripts call. */
  calls: number;
  scripts: number;
  /** Milliseconds of CPU time, without child processes that rewrite the append-only file. */
  cpuMs: number;
}

/** Use is what Redis and some processes have done. */
export interface Use {
  redis: RedisUse;
  /** Milliseconds of CPU time of the processes together; NaN on a system without `/proc`. */
  processMs: number;
}

/** The unit of times in `/proc/PID/stat`: Linux shows programs a clock of 100 ticks a second. */
const TICK_MS = 10;

/** createMeter starts to measure. The function that it returns says what was done since. */
export async function createMeter(redis: Redis, processes: readonly Child[]): Promise<() => Promise<Use>> {
  const before = await readUse(redis, processes);
  return async () => {
    const after = await readUse(redis, processes);
    return {
      redis: {
        calls: after.redis.calls - before.redis.calls,
        scripts: after.redis.scripts - before.redis.scripts,
        cpuMs: after.redis.cpuMs - before.redis.cpuMs,
      },
      processMs: after.processMs - before.processMs,
    };
  };
}

async function readUse(redis: Redis, processes: readonly Child[]): Promise<Use> {
  const [info, ...times] = await Promise.all([
    redis.info('all'),
    ...processes.map(({ pid }) => cpuMsOf(pid)),
  ]);
  const seconds = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
  let calls = 0;
  let scripts = 0;
  for (const [, name = '', count] of info.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
    calls += Number(count);
    if (name === 'evalsha' || name === 'eval') scripts += Number(count);
  }
  return {
    redis: { calls, scripts, cpuMs: (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1000 },
    processMs: times.reduce((sum, each) => sum + each, 0),
  };
}

/** Returns the CPU time of a process in milliseconds; NaN on a system without `/proc`. */
async function cpuMsOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the name of the program, which may contain spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
