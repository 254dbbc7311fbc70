import type { SseAnswer } from '../../test/support/http/sse-reader.ts';
import type { Random } from '../fleet/random.ts';
import { pause } from '../fleet/timing.ts';
import type { Door, Heard } from './stream-reader.ts';

/** Somebody who reads the stream of a job's answer, drops it, comes back to another producer, and goes on from where it was. */
export interface WatcherOptions {
  door: Door;
  producerUrls: readonly string[];
  /** Its own: when it comes, stays and goes must not depend on the others. */
  random: Random;
  /** It comes this long after the start. In milliseconds. */
  comesAfterMs: number;
  /** Ends it, whole or not. */
  signal: AbortSignal;
}

/** What a watcher has to show. It changes until the watcher has ended. */
export interface Watched {
  readonly door: string;
  /** As far as it shows it. */
  text: string;
  /** Each numbered event, in the order of its arrival: two watchers of one door must have the same. */
  readonly lines: string[];
  readonly flaws: string[];
  visits: number;
  drops: number;
  /** When its last connection was answered, in Unix milliseconds. */
  cameAt: number;
  /** When it had heard the end, in Unix milliseconds; undefined: it never did. */
  doneAt: number | undefined;
}

const STAY_MS = { least: 100, most: 4000 };
const AWAY_MS = { least: 0, most: 1000 };

/** Watches until the end of the job. `watched` can be looked at meanwhile. */
export function createWatcher({ door, producerUrls, random, comesAfterMs, signal }: WatcherOptions): {
  watched: Watched;
  run(): Promise<void>;
} {
  const watched: Watched = {
    door: door.name,
    text: '',
    lines: [],
    flaws: [],
    visits: 0,
    drops: 0,
    cameAt: 0,
    doneAt: undefined,
  };
  let last: number | undefined;

  const take = ({ number, line, text, anew, isEnd }: Heard): void => {
    if (number !== undefined) {
      if (number <= (last ?? -1)) watched.flaws.push(`number ${number} came after ${last}`);
      if (door.isGapless && number !== (last ?? -1) + 1) watched.flaws.push(`${number} follows ${last}`);
      last = number;
      watched.lines.push(`${number} ${line}`);
    }
    if (anew) watched.text = '';
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
        take(door.hear(message));
        if (watched.doneAt !== undefined) return;
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      messages.drop();
    }
  };
  const visit = async (staysMs: number): Promise<void> => {
    const answer = await door.open(random.pick(producerUrls), last);
    watched.visits += 1;
    watched.cameAt = Date.now();
    if (answer.status === 200) return read(answer, staysMs);
    answer.messages.drop();
    watched.flaws.push(`visit ${watched.visits} was answered ${answer.status}`);
  };

  return {
    watched,
    async run() {
      await pause(comesAfterMs, signal);
      while (watched.doneAt === undefined) {
        await visit(random.between(STAY_MS.least, STAY_MS.most));
        if (watched.doneAt === undefined) await pause(random.between(AWAY_MS.least, AWAY_MS.most), signal);
      }
    },
  };
}
