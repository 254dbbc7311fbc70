import { isFinishedJob } from '../job/job.ts';
import type { JobView } from '../job/view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Subscriptions } from '../redis/subscriptions.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import { createEventLogReader } from './event-log.ts';
import { createReplay, type ReplayEvent } from './replay.ts';

/** A job that somebody watches: how it stands, and what has been said in its answer. One for all who watch it in this process. */
export interface LiveJob {
  /** Undefined before the first look. */
  readonly view: JobView | undefined;
  readonly said: readonly ReplayEvent[];
  readonly end: LiveJobEnd | undefined;
  /** Resolves at the next change of any of these. */
  changed(): Promise<void>;
  /** To be called once by whoever opened it. */
  leave(): void;
}

/** `gone`: there is no such job any more. `closed`: this process stops. */
export type LiveJobEnd =
  | { kind: 'finished'; view: JobView; response: UpstreamResponse | undefined }
  | { kind: 'gone' }
  | { kind: 'closed' };

export interface LiveJobs {
  /** @param id the job's, inside BullMQ. */
  open(queue: ModelQueue, id: string): LiveJob;
  close(): void;
}

/** A message lost in a reconnect must not cost a watcher much, and not every change of status is announced. In milliseconds. */
const LOOK_AGAIN_MS = 10_000;
/** The line moves without a word to each who stands in it. */
const WAITING_MS = 2000;
/** After Redis could not be read. */
const TRY_AGAIN_MS = 1000;
const SUBSCRIBING_MS = 1000;
const ENTRIES_AT_ONCE = 500;

export function createLiveJobs(redis: RedisClient, subscriptions: Subscriptions): LiveJobs {
  const open = new Map<string, RunningFeed>();
  let closed = false;
  return {
    open(queue, id) {
      const key = queue.keys.eventLog(id);
      const feed = open.get(key) ?? runFeed({ redis, subscriptions, queue, id }, () => open.delete(key));
      open.set(key, feed);
      if (closed) feed.close();
      return feed.join();
    },
    close() {
      closed = true;
      for (const feed of open.values()) feed.close();
    },
  };
}

interface RunningFeed {
  join(): LiveJob;
  close(): void;
}

interface FeedOptions {
  redis: RedisClient;
  subscriptions: Subscriptions;
  queue: ModelQueue;
  id: string;
}

/** @param onOver nobody may join it any more: it has ended, or the last one has left. */
function runFeed({ redis, subscriptions, queue, id }: FeedOptions, onOver: () => void): RunningFeed {
  const channel = queue.keys.eventLog(id);
  const replay = createReplay();
  const readEntry = createEventLogReader();
  let lastEntry = '-';
  let view: JobView | undefined;
  let end: LiveJobEnd | undefined;
  let watchers = 0;
  let change = deferred();
  /** What the next look is for: an entry alone does not change the job's status. */
  let lookAtJob = true;
  let news = deferred();

  const announce = (): void => {
    change.resolve();
    change = deferred();
  };
  const finish = (how: LiveJobEnd): void => {
    if (end !== undefined) return;
    end = how;
    subscription.end();
    onOver();
    announce();
    news.resolve();
  };
  const subscription = subscriptions.listen(channel, (message) => {
    lookAtJob ||= message !== 'entry';
    news.resolve();
  });

  const readJournal = async (): Promise<boolean> => {
    const from = lastEntry === '-' ? '-' : `(${lastEntry}`;
    const entries = await redis.xrange(channel, from, '+', 'COUNT', ENTRIES_AT_ONCE);
    for (const [entryId, fields] of entries) {
      lastEntry = entryId;
      replay.add(readEntry(fields));
    }
    if (entries.length > 0) announce();
    return entries.length === ENTRIES_AT_ONCE;
  };

  /** The job first: when it has ended, nothing comes into the journal after that. */
  const look = async (): Promise<void> => {
    const isLookAtJob = lookAtJob;
    lookAtJob = false;
    const reading = isLookAtJob ? await queue.read(id) : undefined;
    if (reading === null) return finish({ kind: 'gone' });
    while (await readJournal()) if (end !== undefined) return;
    if (reading === undefined) return;
    const latest = reading.view;
    if (latest.status === 'completed') {
      const stored = await redis.get(queue.keys.response(id));
      if (stored === null) return finish({ kind: 'gone' });
      const response = JSON.parse(stored) as UpstreamResponse;
      replay.complete(response);
      view = latest;
      return finish({ kind: 'finished', view: latest, response });
    }
    view = latest;
    if (isFinishedJob(latest)) return finish({ kind: 'finished', view: latest, response: undefined });
    announce();
  };

  const run = async (): Promise<void> => {
    await soonest(subscription.standing, SUBSCRIBING_MS);
    while (end === undefined) {
      news = deferred();
      let pauseMs = LOOK_AGAIN_MS;
      try {
        await look();
        if (view?.status === 'waiting') pauseMs = WAITING_MS;
      } catch {
        // Redis is away: who watches sees nothing new, and goes on when it is back.
        lookAtJob = true;
        pauseMs = TRY_AGAIN_MS;
      }
      if (end !== undefined) return;
      if (await soonest(news.promise, pauseMs)) lookAtJob = true;
    }
  };
  void run();

  return {
    join() {
      watchers += 1;
      return {
        get view() {
          return view;
        },
        said: replay.said,
        get end() {
          return end;
        },
        changed: () => change.promise,
        leave() {
          watchers -= 1;
          if (watchers === 0) finish({ kind: 'closed' });
        },
      };
    },
    close: () => finish({ kind: 'closed' }),
  };
}

interface Deferred {
  promise: Promise<void>;
  resolve: () => void;
}

function deferred(): Deferred {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Waits for a promise, but not for ever. @returns whether the time was up first. */
async function soonest(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), limitMs);
    timer.unref();
  });
  const first = await Promise.race([timeUp, promise]);
  clearTimeout(timer);
  return first === true;
}
