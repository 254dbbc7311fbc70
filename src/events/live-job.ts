import { QueueError } from '../errors/problem.ts';
import { isFinishedJob, type JobStatus } from '../job/job.ts';
import type { JobView } from '../job/view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Subscriptions } from '../redis/subscriptions.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import { createEventLogReader } from './event-log.ts';
import { createReplay, type Replay } from './replay.ts';

/**
 * LiveJob is the view and the replay of a job that is being watched. All watchers of the job in this process
 * share one LiveJob.
 */
export interface LiveJob {
  /** undefined until the job has been read for the first time. */
  readonly view: JobView | undefined;
  readonly replay: Pick<Replay, 'events' | 'latestBegins'>;
  readonly end: LiveJobEnd | undefined;
  /** Resolves at the next change of the view, the replay or the end. */
  changed(): Promise<void>;
  /** Ends one watcher's use. Call it once for each `open`. */
  leave(): void;
}

/**
 * LiveJobEnd says why no further change of the job follows. `gone`: the job was deleted. `closed`: this
 * process stops.
 */
export type LiveJobEnd =
  | { kind: 'finished'; view: JobView; response: UpstreamResponse | undefined }
  | { kind: 'gone' }
  | { kind: 'closed' };

/** LiveJobs are the jobs that are watched in this process. */
export interface LiveJobs {
  /** @param id the job's id inside BullMQ. */
  open(queue: ModelQueue, id: string): LiveJob;
  close(): void;
}

/**
 * How often a job is read without a message, in milliseconds: a message may be lost in a reconnect, and some
 * changes of status are not announced.
 */
const LOOK_AGAIN_MS = 10_000;
/** The same in milliseconds for a waiting job, whose position changes without a message. */
const WAITING_MS = 2000;
/** The pause after Redis could not be read, in milliseconds. */
const TRY_AGAIN_MS = 1000;
/** How long the first look waits for the subscription, in milliseconds. */
const SUBSCRIBING_MS = 1000;
const ENTRIES_AT_ONCE = 500;
/**
 * How often the worker of an active job is told that the job is watched, in milliseconds. The worker
 * remembers it for 25 s.
 */
const TELL_WORKER_EVERY_MS = 10_000;

export function createLiveJobs(redis: RedisClient, subscriptions: Subscriptions): LiveJobs {
  const open = new Map<string, SharedJob>();
  let closed = false;
  return {
    open(queue, id) {
      const key = queue.keys.eventLog(id);
      const shared =
        open.get(key) ?? startSharedJob({ redis, subscriptions, queue, id }, () => open.delete(key));
      open.set(key, shared);
      if (closed) shared.close();
      return shared.join();
    },
    close() {
      closed = true;
      for (const shared of open.values()) shared.close();
    },
  };
}

interface SharedJob {
  join(): LiveJob;
  close(): void;
}

interface SharedJobOptions {
  redis: RedisClient;
  subscriptions: Subscriptions;
  queue: ModelQueue;
  id: string;
}

/**
 * startSharedJob reads one job for all its watchers.
 *
 * @param onOver called when no watcher may join any more: the job has ended, or the last watcher has left.
 */
function startSharedJob(
  { redis, subscriptions, queue, id }: SharedJobOptions,
  onOver: () => void,
): SharedJob {
  const channel = queue.keys.eventLog(id);
  const replay = createReplay();
  const readEntry = createEventLogReader();
  let lastEntry = '-';
  let view: JobView | undefined;
  let end: LiveJobEnd | undefined;
  let watchers = 0;
  let change = deferred();
  /** Whether the next look also reads the job. A new log entry alone does not change the job's status. */
  let lookAtJob = true;
  let news = deferred();
  let toldAt = Number.NEGATIVE_INFINITY;

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

  /**
   * Tells the worker of an active job that the job is watched, so that it writes the log often. An attempt
   * that has just begun is told at once. The subscription is active before that, so no entry is missed.
   */
  const tellWorker = (status: JobStatus | undefined, isNews: boolean): void => {
    const now = performance.now();
    if (status !== 'active' || (!isNews && now - toldAt < TELL_WORKER_EVERY_MS)) return;
    toldAt = now;
    redis.publish(queue.keys.watchedChannel, id).catch(() => {});
  };

  /** Reads the job before the log: once the job has ended, nothing is added to the log. */
  const look = async (): Promise<void> => {
    const isLookAtJob = lookAtJob;
    lookAtJob = false;
    const reading = isLookAtJob ? await queue.read(id) : undefined;
    if (reading === null) return finish({ kind: 'gone' });
    tellWorker((reading?.view ?? view)?.status, reading !== undefined);
    while (await readLog()) if (end !== undefined) return;
    if (reading === undefined) return;
    const latest = reading.view;
    if (latest.status === 'completed') {
      const response = await responseOf(queue, id);
      if (response === null) return finish({ kind: 'gone' });
      if (response !== undefined) replay.complete(response);
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
        // Redis is away: watchers see nothing new until Redis is back.
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
        replay,
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

/**
 * @returns null when there is none; undefined for a damaged one: readers of the result get an error that says
 * so.
 */
async function responseOf(queue: ModelQueue, id: string): Promise<UpstreamResponse | null | undefined> {
  try {
    const json = await queue.response(id);
    return json && (JSON.parse(json.toString()) as UpstreamResponse);
  } catch (error: unknown) {
    if (error instanceof QueueError) return undefined;
    throw error;
  }
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

/** Waits for a promise, but for `limitMs` at most. @returns true when the time was up first. */
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
