import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { sleep } from '../../src/async/sleep.ts';
import { type GreedyAnswer, type GreedyCalls, isRefusal } from './greedy-calls.ts';

/** The length that slow bodies announce: those of up to 100 KB need not come at any pace. */
const SLOW_BODY_BYTES = 90_000;
const OPENED_AT_ONCE = 200;
const PAUSE_MS = 50;
const LOOK_EVERY_MS = 200;

/** pausedIf waits a little after a refusal, as even a runaway script does. It does not heed Retry-After. */
export async function pausedIf(answer: GreedyAnswer | undefined, { stopping }: GreedyCalls): Promise<void> {
  if (isRefusal(answer)) await sleep(PAUSE_MS, stopping).catch(() => {});
}

/**
 * keepOpen keeps so many connections open until the storm ends.
 * @param open opens one. It resolves to true when the connection stays open, and to false when it must be
 * opened again.
 */
export async function keepOpen(
  calls: GreedyCalls,
  width: number,
  open: (place: number) => Promise<boolean>,
): Promise<void> {
  let opening = 0;
  const lane = async (place: number): Promise<void> => {
    while (!calls.stopping.aborted) {
      while (opening >= OPENED_AT_ONCE && !calls.stopping.aborted)
        await sleep(PAUSE_MS, calls.stopping).catch(() => {});
      opening += 1;
      const opened = open(place);
      const settled = await Promise.race([opened, sleep(LOOK_EVERY_MS).then(() => undefined)]);
      opening -= 1;
      if (settled ?? (await opened)) return stopped(calls);
      await sleep(PAUSE_MS, calls.stopping).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: width }, (_, place) => lane(place)));
}

/** stopped resolves when the storm ends. */
export async function stopped({ stopping }: GreedyCalls): Promise<void> {
  if (stopping.aborted) return;
  await new Promise<void>((resolve) => stopping.addEventListener('abort', () => resolve(), { once: true }));
}

/** connected connects, and sends nothing. @returns undefined when the connection failed. */
export function connected({ url, stopping, count }: GreedyCalls): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(Number(url.port), url.hostname);
    stopping.addEventListener('abort', () => socket.destroy(), { once: true });
    socket.once('connect', () => resolve(socket));
    socket.on('error', (error) => {
      if (!stopping.aborted) count('code' in error ? String(error.code) : error.message);
      resolve(undefined);
    });
    socket.resume();
  });
}

/** sendSlowly sends a byte of a body each second. @returns false when the connection has closed. */
export function sendSlowly({ url, headers, stopping, count }: GreedyCalls): Promise<boolean> {
  return new Promise((resolve) => {
    const sent = request(new URL('/jobs', url), {
      method: 'POST',
      headers: { ...headers, 'content-length': SLOW_BODY_BYTES },
      agent: false,
      signal: stopping,
    });
    const timer = setInterval(() => sent.write(' '), 1000);
    count('opened');
    sent.once('response', (response) => {
      count(String(response.statusCode));
      response.resume();
    });
    sent.on('error', () => {});
    sent.once('close', () => {
      clearInterval(timer);
      resolve(false);
    });
    sent.write('{');
  });
}

/** abortedCall sends a call, and disconnects as soon as it is sent. */
export function abortedCall({ url, headers, stopping }: GreedyCalls, body: object): Promise<void> {
  return new Promise((resolve) => {
    const sent = request(new URL('/v1/responses', url), {
      method: 'POST',
      headers,
      agent: false,
      signal: stopping,
    });
    sent.on('error', () => {});
    sent.once('close', () => resolve());
    sent.end(JSON.stringify(body), () => setImmediate(() => sent.destroy()));
  });
}
