import { isFinishedJob } from '../job/job.ts';
import type { JobView } from '../job/view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Subscriptions } from '../redis/subscriptions.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import { createEventLogReader } from './event-log.ts';
import { createReplay, type ReplayEvent } from './replay.ts';

/**
 * LiveJob is a watched job: its view and its replay. All watchers of a job in this process share one source.
 */
export interface LiveJob {
  /** The latest view; undefined before the first look. */
  readonly view: JobView | undefined;
  /** The replay so far. It only grows. */
  readonly events: readonly ReplayEvent[];
  readonly end: LiveJobEnd | undefined;
  /** Resolves at the next change of any of these fields. */
  changed(): Promise<void>;
  /** Ends this watch. Call it once. */
  leave(): void;
}

/**
 * LiveJobEnd says why nothing more will change. `gone`: the job was deleted. `closed`: this process stops.
 */
export type LiveJobEnd =
  | { kind: 'finished'; view: JobView; response: UpstreamResponse | undefined }
  | { kind: 'gone' }
  | { kind: 'closed' };

export interface LiveJobs {
  /** @param id - the job's id in BullMQ. */
  open(queue: ModelQueue, id: string): LiveJob;
  close(): void;
}

/**
 * The time between two looks without a message, in milliseconds: one may be lost in a reconnect, and some
 * changes are not announced.
 */
const LOOK_AGAIN_MS = 10_000;
/** The same for a waiting job, whose position changes without a message. */
const WAITING_MS = 2000;
/** The same after Redis could not be read. */
const TRY_AGAIN_MS = 1000;
const SUBSCRIBING_MS = 1000;
const ENTRIES_AT_ONCE = 500;

export function createLiveJobs(redis: RedisClient, subscriptions: Subscriptions): LiveJobs {
  const open = new Map<string, SharedJob>();
  let closed = false;
  return {
    open(queue, id) {
      const key = queue.keys.eventLog(id);
      const job = open.get(key) ?? followJob({ redis, subscriptions, queue, id }, () => open.delete(key));
      open.set(key, job);
      if (closed) job.close();
      return job.join();
    },
    close() {
      closed = true;
      for (const job of open.values()) job.close();
    },
  };
}

interface SharedJob {
  join(): LiveJob;
  close(): void;
}

interface FollowOptions {
  redis: RedisClient;
  subscriptions: Subscriptions;
  queue: ModelQueue;
  id: string;
}

/**
 * @param onOver - called when no watcher may join any more: the job has ended, or the last watcher has left.
 */
function followJob({ redis, subscriptions, queue, id }: FollowOptions, onOver: () => void): SharedJob {
  const channel = queue.keys.eventLog(id);
  const replay = createReplay();
  const readEntry = createEventLogReader();
  let lastEntry = '-';
  let view: JobView | undefined;
  let end: LiveJobEnd | undefined;
  let watchers = 0;
  let change = deferred();
  /**
   * Whether the next look reads the job too. A message about a log entry alone does not change its status.
   */
  let lookAtJob = true;
  let message = deferred();

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
    message.resolve();
  };
  const subscription = subscriptions.listen(channel, (text) => {
    lookAtJob ||= text !== 'entry';
    message.resolve();
  });

  const readLog = async (): Promise<boolean> => {
    const from = lastEntry === '-' ? '-' : `(${lastEntry}`;
    const entries = await redis.xrange(channel, from, '+', 'COUNT', ENTRIES_AT_ONCE);
    for (const [entryId, fields] of entries) {
      lastEntry = entryId;
      replay.add(readEntry(fields));
    }
    if (entries.length > 0) announce();
    return entries.length === ENTRIES_AT_ONCE;
  };

  /** Reads the job first: after its end nothing is added to the log. */
  const look = async (): Promise<void> => {
    const isLookAtJob = lookAtJob;
    lookAtJob = false;
    const reading = isLookAtJob ? await queue.read(id) : undefined;
    if (reading === null) return finish({ kind: 'gone' });
    while (await readLog()) if (end !== undefined) return;
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
    await withinLimit(subscription.standing, SUBSCRIBING_MS);
    while (end === undefined) {
      message = deferred();
      let pauseMs = LOOK_AGAIN_MS;
      try {
        await look();
        if (view?.status === 'waiting') pauseMs = WAITING_MS;
      } catch {
        // Redis is away: watchers see nothing new until it is back.
        lookAtJob = true;
        pauseMs = TRY_AGAIN_MS;
      }
      if (end !== undefined) return;
      if (await withinLimit(message.promise, pauseMs)) lookAtJob = true;
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
        events: replay.events,
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

/** Waits for a promise, at most `limitMs`. @returns whether the time was up first. */
async function withinLimit(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), limitMs);
    timer.unref();
  });
  const first = await Promise.race([timeUp, promise]);
  clearTimeout(timer);
  return first === true;
}
