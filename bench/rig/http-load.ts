import { Pool } from 'undici';
import { percentile } from '../../chaos/fleet/timing.ts';

/** Load is a number of callers, each of whom sends its next request when the last one was answered. */
export interface Load {
  url: string;
  path: string;
  body: unknown;
  /** The status that every answer must have. */
  expected: number;
  /** Each caller has a connection of its own. */
  callers: number;
  /** The load ends after so many milliseconds, or after so many requests. */
  until: { ms: number } | { requests: number };
  signal: AbortSignal;
}

/** LoadResult says how many requests were answered, and how long each took. */
export interface LoadResult {
  requests: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

/** applyLoad sends the load. @throws an Error for an answer with another status. */
export async function applyLoad({
  url,
  path,
  body,
  expected,
  callers,
  until,
  signal,
}: Load): Promise<LoadResult> {
  const pool = new Pool(url, { connections: callers, pipelining: 1 });
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json' };
  const times: number[] = [];
  let sent = 0;
  const startedAt = performance.now();
  const goesOn = (): boolean =>
    'ms' in until ? performance.now() - startedAt < until.ms : sent < until.requests;
  const call = async (): Promise<void> => {
    while (goesOn()) {
      sent += 1;
      const sentAt = performance.now();
      const answer = await pool.request({ path, method: 'POST', headers, body: text, signal });
      const said = await answer.body.text();
      if (answer.statusCode !== expected) throw new Error(`expected ${expected}, got ${said}`);
      times.push(performance.now() - sentAt);
    }
  };
  try {
    await Promise.all(Array.from({ length: callers }, call));
    return {
      requests: times.length,
      perSecond: (times.length * 1000) / (performance.now() - startedAt),
      p50Ms: percentile(times, 0.5),
      p99Ms: percentile(times, 0.99),
    };
  } finally {
    await pool.destroy();
  }
}
