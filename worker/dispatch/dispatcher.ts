import { createWaker } from '../../src/async/waker.ts';
import { DISPATCHER_LOOKS_EVERY_MS, type NextJob, type QueueLook } from '../../src/fair-queue/fair-queue.ts';
import type { QuotaWait } from '../../src/quota/quota.ts';
import type { TenantQuotas } from '../../src/quota/tenant-quota.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { reserveAndStart } from '../reservation/reserve.ts';
import type { TenantLimits } from '../reservation/tenant-limits.ts';
import { createPassedOver } from './passed-over.ts';
import { createQueueStatusReporter } from './queue-status.ts';
import { createSources, type SourcesOptions } from './sources.ts';

export interface DispatcherOptions extends SourcesOptions {
  tenantQuotas: TenantQuotas;
  tenantLimits: TenantLimits;
  subscriber: RedisClient;
  /** Returns how many more jobs this worker may hold. */
  room: () => number;
  /** Returns how many more jobs within a completion window this worker may hold, beside the others. */
  windowedRoom: () => number;
  /**
   * Returns how many jobs of this worker, or of one tenant in it, have a reservation and have not sent their
   * create request.
   */
  unsent: (tenant?: string) => number;
  /** Returns how many jobs of a tenant this worker holds. */
  held: (tenant: string) => number;
  onError: (error: Error) => void;
}

/**
 * Dispatcher starts the jobs of one model's fair queue. Each worker has one dispatcher for each model. The
 * dispatchers of all workers run at the same time.
 */
export interface Dispatcher {
  /** Looks at the queue again, because the worker may have more room for jobs. */
  hearRoom(): void;
  /** Stops starting jobs. */
  stop(): Promise<void>;
}

/**
 * Lack is what a dispatcher waits for. Other signals do not wake the dispatcher: a newly enqueued job adds no
 * quota.
 */
type Lack = 'jobs' | 'quota' | 'room' | 'board';

const AT_ONCE = 32;
/**
 * How many jobs may have a reservation and wait to be sent: enough to keep all connections busy, and few
 * enough to be sent soon.
 */
const MOST_UNSENT = 64;
/**
 * A tenant may have so many times as many of these jobs as are left for others. One tenant alone gets 48 of
 * the 64, and each further tenant three quarters of the rest: while the creates of some tenants hang, there
 * is always room for one more.
 */
const TIMES_LEFT = 3;
/**
 * The same for the jobs that a worker holds, which may run for an hour: one tenant alone gets 1,938 of 2,000
 * slots, and the job of another tenant starts at once in one of the others.
 */
const SLOTS_TIMES_LEFT = 31;
/** How soon a dispatcher looks again while the tenants of the next jobs have their shares, in milliseconds. */
const SHARES_MS = 200;
/**
 * The least number of jobs that a dispatcher reads, so that it can choose a probe among them even when it has
 * little room.
 */
const PROBE_CHOICE = 8;
/** How many jobs a look reads while those that need a completion window are passed over. */
const MOST_PASSED = 256;
const WINDOWS_FULL: QuotaWait = { reason: 'max_in_flight_windowed', milliseconds: 1000 };
/** How long to wait until a worker takes the started jobs, in milliseconds. */
const UNTAKEN_MS = 50;
/**
 * How long a dispatcher lets room gather while many jobs wait to be sent, in milliseconds, so that one round
 * starts many jobs: a round of one job costs Redis half as much as a round of ten.
 */
const GATHER_MS = 25;
/** So many unsent jobs keep all creates of a worker busy for longer than a dispatcher gathers. */
const PLENTY_UNSENT = MOST_UNSENT / 2;
/**
 * How long to wait for a job to end under a concurrency limit of Bull Board, in milliseconds. No message
 * announces such an end.
 */
const BOARD_MS = 100;
/** How soon a dispatcher looks again while jobs wait or were just started, in milliseconds. */
const LOOK_AGAIN_MS = 1000;
const AFTER_ERROR_MS = 1000;
/** Spreads the workers of a fleet, so that they do not all reserve in the same millisecond. */
const JITTER_MS = 20;

export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, tenantLimits, room, onError } = options;
  const { fairQueue } = queue;

  const stopping = new AbortController();
  const waker = createWaker(stopping.signal);
  const ownPausedTenants = new Set<string>();
  /** The signals that arrived since the round began. */
  const heard = new Set<Lack>();
  let awaited: readonly Lack[] = [];
  /** Until then no job is started within a completion window, because all places for those are taken. */
  let windowsFullUntil = Number.NEGATIVE_INFINITY;
  const passedOver = createPassedOver();
  const hear = (lack: Lack): void => {
    if (lack === 'quota') windowsFullUntil = Number.NEGATIVE_INFINITY;
    heard.add(lack);
    if (awaited.includes(lack)) waker.wake();
  };
  const currentSources = createSources(options, () => hear('quota'));
  // Subscribes to their quotas before `listen` calls `hear` for what was missed.
  currentSources();
  listen(options, ownPausedTenants, hear);

  const reporter = createQueueStatusReporter(queue, fairQueue, options.now, onError);
  let hasGathered = false;
  /** What the step that started the last jobs has seen, if the next round follows at once. */
  let latest: QueueLook | undefined;
  /** @returns what to wait for, and for how many milliseconds at most; undefined: continue at once. */
  const runRound = async (): Promise<{ lacks: readonly Lack[]; ms: number } | undefined> => {
    hasGathered = !hasGathered && options.unsent() >= PLENTY_UNSENT;
    if (hasGathered) {
      latest = undefined;
      return { lacks: [], ms: GATHER_MS };
    }
    const sources = currentSources();
    const [first] = sources;
    const lookedAt = performance.now();
    const most = Math.min(AT_ONCE, room(), MOST_UNSENT - options.unsent());
    const isPassing = lookedAt < windowsFullUntil || options.windowedRoom() <= 0;
    const passed = isPassing ? passedOver.counts() : {};
    const look =
      latest ?? (await fairQueue.next(isPassing ? MOST_PASSED : Math.max(PROBE_CHOICE, most), passed));
    latest = undefined;
    const { board, untaken, nextInMs = DISPATCHER_LOOKS_EVERY_MS, isAll } = look;
    const needsNoWindow = ({ options: { need } }: NextJob): boolean =>
      need === undefined || first.windows.choose(need) === undefined;
    const jobs = isPassing ? look.jobs.filter(needsNoWindow) : look.jobs;
    // These jobs are counted after the look: a job that was taken before it is not among the untaken ones.
    const left = MOST_UNSENT - options.unsent() - untaken;
    const slots = Math.min(AT_ONCE, room() - untaken, left);
    /** No job waits: until a signal comes there is nothing to do but at a known time. */
    const idle = (mostMs: number) => {
      reporter.empty();
      const ms = Math.min(lookedAt + nextInMs - performance.now(), mostMs);
      return { lacks: ['jobs'] as const, ms: Math.max(0, ms) };
    };
    const looksOn = isPassing && passedOver.note(look, (job) => !needsNoWindow(job));
    if (jobs.length === 0 && (look.jobs.length > 0 || Object.keys(passed).length > 0)) {
      if (looksOn) return undefined;
      if (options.windowedRoom() <= 0) reporter.noWorker(first);
      else reporter.moved(first, WINDOWS_FULL, board.limits);
      return { lacks: ['quota', 'jobs'], ms: LOOK_AGAIN_MS };
    }
    if (jobs.length === 0) return idle(untaken > 0 ? LOOK_AGAIN_MS : DISPATCHER_LOOKS_EVERY_MS);
    if (board.room === 0) {
      reporter.held(first, board.limits);
      return { lacks: ['board'], ms: Math.min(board.waitMs || BOARD_MS, LOOK_AGAIN_MS) };
    }
    if (slots <= 0) {
      reporter.noWorker(first);
      return { lacks: ['room'], ms: untaken > 0 ? UNTAKEN_MS : LOOK_AGAIN_MS };
    }
    const sendable = withinShares(jobs, left, TIMES_LEFT, (tenant) => options.unsent(tenant) + untaken);
    const startable = withinShares(
      sendable,
      room() - untaken,
      SLOTS_TIMES_LEFT,
      (tenant) => options.held(tenant) + untaken,
    );
    if (startable.length === 0) {
      if (sendable.length > 0) reporter.noWorker(first);
      return { lacks: ['room'], ms: SHARES_MS };
    }
    const round = await reserveAndStart(startable, {
      ...{ model: queue.model, fairQueue, tenantLimits, sources, ownPausedTenants },
      discounts: queue.config.completionWindows,
      most: Math.min(slots, board.room),
      // The next round begins at once if more jobs wait than this one may start, and there is room for them.
      lookAt:
        isAll || isPassing || slots <= startable.length
          ? 0
          : Math.max(PROBE_CHOICE, Math.min(AT_ONCE, slots)),
    });
    const { wait } = round;
    passedOver.started(round.started);
    if (isAll && !isPassing && round.started === jobs.length) return idle(LOOK_AGAIN_MS);
    reporter.moved(round.source, wait, board.limits);
    if (wait?.reason === WINDOWS_FULL.reason) {
      // Other jobs may stand behind those that need a window.
      windowsFullUntil = performance.now() + LOOK_AGAIN_MS;
      return undefined;
    }
    if (wait !== undefined) {
      // Only large jobs have to wait. Small jobs may still start, both those that wait and those that are
      // enqueued later.
      if (round.onlyLarge && round.started > 0) return undefined;
      return {
        lacks: round.onlyLarge ? ['quota', 'jobs'] : ['quota'],
        ms: Math.min(wait.milliseconds, LOOK_AGAIN_MS) + Math.random() * JITTER_MS,
      };
    }
    // If no job has started, other dispatchers are starting these jobs right now.
    if (round.started === 0 && round.paused === 0) return { lacks: ['jobs'], ms: JITTER_MS };
    latest = round.look;
    return undefined;
  };

  const running = (async () => {
    while (!stopping.signal.aborted) {
      awaited = [];
      heard.clear();
      const wait = await runRound().catch((error: Error) => {
        onError(error);
        return { lacks: [], ms: AFTER_ERROR_MS };
      });
      if (wait === undefined || wait.lacks.some((lack) => heard.has(lack))) continue;
      awaited = wait.lacks;
      await waker.wait(wait.ms);
    }
  })();

  return {
    hearRoom: () => hear('room'),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/**
 * Returns the jobs that leave other tenants their share of the room. Jobs without a tenant share nothing: an
 * instance without keys has no tenants.
 * @param timesLeft how many times as much as it leaves to others a tenant may have.
 * @param used returns what a tenant has already. Untaken jobs may count for each tenant, because it is not
 * known whose they are.
 */
function withinShares(
  jobs: readonly NextJob[],
  room: number,
  timesLeft: number,
  used: (tenant: string) => number,
): readonly NextJob[] {
  let left = room;
  const own = new Map<string, number>();
  return jobs.filter(({ tenant }) => {
    const held = own.get(tenant) ?? used(tenant);
    const mayStart = left > 0 && (tenant === '' || held < timesLeft * left);
    own.set(tenant, held + (mayStart ? 1 : 0));
    if (mayStart) left -= 1;
    return mayStart;
  });
}

/** Subscribes to the messages of the fair queue and of tenants' limits that may allow more jobs to start. */
function listen(
  { queue, tenantQuotas, subscriber, onError }: DispatcherOptions,
  ownPausedTenants: Set<string>,
  hear: (lack: Lack) => void,
): void {
  const { fairQueue, keys } = queue;
  subscriber.on('message', (channel: string, message: string) => {
    if (channel === keys.fairQueue('wake')) hear('jobs');
    else if (channel === tenantQuotas.channel && ownPausedTenants.delete(message))
      fairQueue.resumeTenant(message).then(() => hear('jobs'), onError);
  });
  // Signals before the subscription were missed.
  const hearAll = (): void => {
    for (const lack of ['jobs', 'quota'] as const) hear(lack);
  };
  subscriber.subscribe(keys.fairQueue('wake'), tenantQuotas.channel).then(hearAll, onError);
  subscriber.on('ready', hearAll);
}
