import type { RedisClient } from '../../src/redis/connection.ts';
import type { ModelKeys } from '../../src/redis/keys.ts';

/** InterruptionReason says why an attempt stops before its response has ended. */
export type InterruptionReason = 'cancelled' | 'shutdown' | 'lock lost' | 'timeout' | 'deadline';

/** Interruption is the error with which the signal of an attempt aborts. */
export class Interruption extends Error {
  override readonly name = 'Interruption';
  readonly reason: InterruptionReason;
  constructor(reason: InterruptionReason) {
    super(`The attempt was interrupted: ${reason}`);
    this.reason = reason;
  }
}

/**
 * ActiveAttempt lets other parts of the worker stop an attempt.
 *
 * A shutdown has two steps. `requestStop` stops an attempt that loses nothing: one that has bought nothing,
 * or whose response another worker can adopt. The answer of a foreground response would be lost, so an
 * attempt that follows one goes on until `interrupt('shutdown')`.
 */
export interface ActiveAttempt {
  /** Aborts with an `Interruption`. */
  readonly signal: AbortSignal;
  /**
   * Aborts together with `signal`, or earlier, at `requestStop`. Use it for waits that lose nothing when they
   * end.
   */
  readonly stopRequested: AbortSignal;
  /** The first reason stands; later calls do nothing. */
  interrupt(reason: InterruptionReason): void;
  requestStop(): void;
  /**
   * Call this when another worker may hold the job. It interrupts the attempt, unless this worker can take
   * the job back.
   */
  loseLock(): void;
  /** Call this before each create. @throws {Interruption} when the attempt has to stop. */
  assertMayCreate(): void;
  /** Call this once another worker could adopt the response. */
  markAdoptable(): void;
  /** Call this when the response is bought or followed within a completion window. */
  markWindowed(): void;
  /** Whether this attempt has bought, or is buying, a response that would be lost with this process. */
  hasUnrecoverableWork(): boolean;
  /** Whether a caller reads the job's events, as far as this worker knows. */
  isWatched(): boolean;
  /** Call this when a caller reads the job's events, and again every ten seconds. */
  noteWatched(): void;
  /** What `noteWatched` calls: the event log writer sets it. */
  onWatched: (() => void) | undefined;
}

/**
 * How long an attempt counts as watched after a message says so, in milliseconds: one message of two may be
 * lost.
 */
const WATCHED_MS = 25_000;

type TakeBack = () => Promise<boolean>;

/**
 * @param onWindowed see `markWindowed`.
 * @param takeBack takes the job back from another worker. It resolves to false when this worker has no
 * purchase to save, or when it is too late.
 */
export function createActiveAttempt(
  takeBack: TakeBack = async () => false,
  onWindowed: () => void = () => {},
): ActiveAttempt {
  const controller = new AbortController();
  // Once another worker could adopt the response, both signals abort together, and one is enough: a signal is
  // a kilobyte.
  let stopping = new AbortController();
  let creating = false;
  let adoptable = false;
  let watchedAt = Number.NEGATIVE_INFINITY;
  const interrupt = (reason: InterruptionReason): void => {
    if (controller.signal.aborted) return;
    controller.abort(new Interruption(reason));
    stopping.abort();
  };
  return {
    signal: controller.signal,
    get stopRequested() {
      return stopping.signal;
    },
    interrupt,
    requestStop() {
      if (adoptable) interrupt('shutdown');
      else stopping.abort();
    },
    loseLock() {
      const endUnless = (isKept: boolean): void => {
        if (!isKept) interrupt('lock lost');
      };
      // When Redis does not answer, the next renewal of the lock calls this again.
      takeBack().then(endUnless, () => {});
    },
    assertMayCreate() {
      controller.signal.throwIfAborted();
      if (stopping.signal.aborted) throw new Interruption('shutdown');
      creating = true;
    },
    markAdoptable() {
      adoptable = true;
      if (stopping.signal.aborted) interrupt('shutdown');
      stopping = controller;
    },
    markWindowed: onWindowed,
    hasUnrecoverableWork: () => creating && !controller.signal.aborted,
    isWatched: () => performance.now() - watchedAt < WATCHED_MS,
    noteWatched() {
      watchedAt = performance.now();
      this.onWatched?.();
    },
    onWatched: undefined,
  };
}

/** ActiveAttempts are the attempts that run in this process for one model, by job id. */
export interface ActiveAttempts {
  ids(): string[];
  /** Returns how many of them are within a completion window. */
  windowed(): number;
  /**
   * Runs `work` as the attempt of a job that has no other attempt in this process. `takeBack`: see
   * `loseLock`.
   */
  run<Output>(
    id: string,
    work: (attempt: ActiveAttempt) => Promise<Output>,
    takeBack?: TakeBack,
  ): Promise<Output>;
  interrupt(id: string, reason: InterruptionReason): void;
  loseLock(id: string): void;
  noteWatched(id: string): void;
  interruptAll(reason: InterruptionReason): void;
  /** Calls `requestStop` on each attempt, including those that begin later. */
  requestStop(): void;
  isStopRequested(): boolean;
  /** Whether any attempt has unrecoverable work. */
  haveUnrecoverableWork(): boolean;
}

/** @param onWindowed called when the number of attempts within a completion window has changed. */
export function createActiveAttempts(onWindowed: () => void = () => {}): ActiveAttempts {
  const active = new Map<string, ActiveAttempt>();
  const windowed = new Set<string>();
  let stopRequested = false;
  return {
    ids: () => [...active.keys()],
    windowed: () => windowed.size,
    async run(id, work, takeBack) {
      const attempt = createActiveAttempt(takeBack, () => {
        windowed.add(id);
        onWindowed();
      });
      if (stopRequested) attempt.requestStop();
      active.set(id, attempt);
      try {
        return await work(attempt);
      } finally {
        active.delete(id);
        if (windowed.delete(id)) onWindowed();
      }
    },
    interrupt: (id, reason) => active.get(id)?.interrupt(reason),
    loseLock: (id) => active.get(id)?.loseLock(),
    noteWatched: (id) => active.get(id)?.noteWatched(),
    interruptAll(reason) {
      for (const attempt of active.values()) attempt.interrupt(reason);
    },
    requestStop() {
      stopRequested = true;
      for (const attempt of active.values()) attempt.requestStop();
    },
    isStopRequested: () => stopRequested,
    haveUnrecoverableWork: () => [...active.values()].some((attempt) => attempt.hasUnrecoverableWork()),
  };
}

/** CancelListener interrupts the attempts whose jobs are cancelled. */
export interface CancelListener {
  /**
   * Interrupts those of the given jobs whose record has a cancel mark, because the message of a cancel may
   * have been lost.
   */
  checkMarks(ids: readonly string[]): Promise<void>;
}

/**
 * listenForCancels interrupts attempts when the jobs of one model are cancelled. A cancel is a mark in the
 * run record. The message about the mark only makes the interruption quick: it is lost while there is no
 * connection to Redis.
 */
export function listenForCancels(
  redis: RedisClient,
  subscriber: RedisClient,
  keys: ModelKeys,
  attempts: ActiveAttempts,
  onError: (error: Error) => void,
): CancelListener {
  const listener: CancelListener = {
    async checkMarks(ids) {
      // One pipeline for thousands of jobs. The keys of one model share a slot, so that it works in a cluster
      // as well.
      const pipeline = redis.pipeline();
      for (const id of ids) pipeline.hexists(keys.run(id), 'cancel_requested_at');
      const replies = (await pipeline.exec()) ?? [];
      for (const [i, id] of ids.entries()) {
        if (replies[i]?.[1] === 1) attempts.interrupt(id, 'cancelled');
      }
    },
  };
  subscriber.on('message', (channel: string, id: string) => {
    if (channel === keys.cancelChannel) attempts.interrupt(id, 'cancelled');
  });
  const checkAll = (): void => void listener.checkMarks(attempts.ids()).catch(onError);
  // ioredis subscribes again by itself after a reconnect.
  subscriber.on('ready', checkAll);
  subscriber.subscribe(keys.cancelChannel).then(checkAll, onError);
  return listener;
}

/**
 * listenForWatchers tells attempts that callers read their events. A lost message costs little: an event log
 * that is not watched is written every two seconds, and the watcher repeats its message.
 */
export function listenForWatchers(
  subscriber: RedisClient,
  { watchedChannel }: ModelKeys,
  attempts: ActiveAttempts,
  onError: (error: Error) => void,
): void {
  subscriber.on('message', (channel: string, id: string) => {
    if (channel === watchedChannel) attempts.noteWatched(id);
  });
  subscriber.subscribe(watchedChannel).catch(onError);
}
