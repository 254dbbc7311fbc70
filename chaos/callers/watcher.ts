import { sleep } from '../../src/async/sleep.ts';
import type { SseAnswer } from '../../test/support/http/sse-reader.ts';
import type { Random } from '../fleet/random.ts';
import type { StreamItem, StreamRoute } from './stream-reader.ts';

/**
 * WatcherOptions describe a caller who reads the stream of a job's answer, drops the connection, comes back
 * to another producer, and continues where it stopped.
 */
export interface WatcherOptions {
  route: StreamRoute;
  producerUrls: readonly string[];
  /** The watcher's own random numbers, so that its times do not depend on other watchers. */
  random: Random;
  /** When the watcher first connects, in milliseconds after the start. */
  startsAfterMs: number;
  /** Stops the watcher, finished or not. */
  signal: AbortSignal;
}

/** Watched is what a watcher has read. It changes until the watcher has ended. */
export interface Watched {
  readonly route: string;
  /** The text that the watcher shows. */
  text: string;
  /** The numbered events in the order of their arrival: all watchers of one route must have the same. */
  readonly lines: string[];
  readonly flaws: string[];
  visits: number;
  drops: number;
  /** When the watcher's last connection was answered, in Unix milliseconds. */
  connectedAt: number;
  /** When the watcher read the end of the stream, in Unix milliseconds; undefined: never. */
  doneAt: number | undefined;
}

const STAY_MS = { least: 100, most: 4000 };
const AWAY_MS = { least: 0, most: 1000 };

/** createWatcher makes a watcher that runs until the end of the job. `watched` may be read while it runs. */
export function createWatcher({ route, producerUrls, random, startsAfterMs, signal }: WatcherOptions): {
  watched: Watched;
  run(): Promise<void>;
} {
  const watched: Watched = {
    route: route.name,
    text: '',
    lines: [],
    flaws: [],
    visits: 0,
    drops: 0,
    connectedAt: 0,
    doneAt: undefined,
  };
  let last: number | undefined;
  /** Whether the last event was a part of the answer: the next one then follows it without a gap. */
  let isInAnswer = false;

  const take = ({ number, line, text, restarts, isEnd }: StreamItem): void => {
    if (number !== undefined) {
      if (number <= (last ?? -1)) watched.flaws.push(`number ${number} came after ${last}`);
      if (route.isOneAttempt && isInAnswer && number !== (last ?? -1) + 1) {
        watched.flaws.push(`${number} follows ${last}`);
      }
      last = number;
      isInAnswer = line !== undefined;
      if (line !== undefined) watched.lines.push(`${number} ${line}`);
    }
    if (restarts) watched.text = '';
    if (restarts && route.isOneAttempt) watched.lines.length = 0;
    watched.text += text;
    if (isEnd) watched.doneAt = Date.now();
  };
  const read = async ({ messages }: SseAnswer, staysMs: number): Promise<void> => {
    const drop = (): void => {
      watched.drops += 1;
      messages.drop();
    };
    const timer = setTimeout(drop, staysMs);
    const stop = (): void => messages.drop();
    signal.addEventListener('abort', stop);
    try {
      for await (const message of messages) {
        take(route.read(message));
        if (watched.doneAt !== undefined) return;
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      messages.drop();
    }
  };
  const visit = async (staysMs: number): Promise<void> => {
    const answer = await route.open(random.pick(producerUrls), last);
    watched.visits += 1;
    watched.connectedAt = Date.now();
    if (answer.status === 200) return read(answer, staysMs);
    answer.messages.drop();
    watched.flaws.push(`visit ${watched.visits} was answered ${answer.status}`);
  };

  return {
    watched,
    async run() {
      await sleep(startsAfterMs, signal);
      while (watched.doneAt === undefined) {
        await visit(random.between(STAY_MS.least, STAY_MS.most));
        if (watched.doneAt === undefined) await sleep(random.between(AWAY_MS.least, AWAY_MS.most), signal);
      }
    },
  };
}
