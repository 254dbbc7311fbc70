import { sleep } from '../../src/async/sleep.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { residentBytes } from '../fleet/child.ts';
import { percentile } from '../fleet/timing.ts';

const LOOK_EVERY_MS = 100;

/** peakMemory returns the most resident memory that a process has until the signal aborts, in bytes. */
export async function peakMemory(pid: number, ended: AbortSignal): Promise<number | undefined> {
  let most: number | undefined;
  while (!ended.aborted) {
    const bytes = await residentBytes(pid);
    if (bytes !== undefined) most = Math.max(bytes, most ?? 0);
    await sleep(LOOK_EVERY_MS, ended).catch(() => {});
  }
  return most;
}

/** RedisSigns are what Redis shows while it is watched. */
export interface RedisSigns {
  /** The milliseconds of each answer to PING. */
  pings: number[];
  /** The most memory that Redis used, in bytes. */
  peakBytes: number;
}

/** watchRedis pings Redis again and again until the signal aborts, and looks how much memory it uses. */
export async function watchRedis(url: string, ended: AbortSignal): Promise<RedisSigns> {
  const redis = connectRedis(url, 'patient', { onError: () => {} });
  const signs: RedisSigns = { pings: [], peakBytes: 0 };
  while (!ended.aborted) {
    const sentAt = performance.now();
    await redis.ping();
    signs.pings.push(performance.now() - sentAt);
    const [, used] = /^used_memory:(\d+)/m.exec(await redis.info('memory')) ?? [];
    signs.peakBytes = Math.max(signs.peakBytes, Number(used ?? 0));
    await sleep(LOOK_EVERY_MS, ended).catch(() => {});
  }
  redis.disconnect();
  return signs;
}

export function latencyText(latencies: readonly number[]): string {
  const values = [0.5, 0.99, 1].map((share) => percentile(latencies, share).toFixed(1));
  return `${values.join(', ')} ms of ${latencies.length}`;
}

/** megabytes writes 1048576 as `1 MB`. */
export function megabytes(bytes: number | undefined): string {
  return `${((bytes ?? Number.NaN) / 1024 ** 2).toFixed(0)} MB`;
}

export function countIn(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

export function countsText(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${count} ${what}`).join(', ') || 'none';
}
