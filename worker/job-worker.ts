import { Job, type JobProgress, LockManager, type Processor, Worker, type WorkerOptions } from 'bullmq';
import { parseExact } from '../src/job/exact-json.ts';
import { wholeData } from '../src/job/fields/compression.ts';
import { forgivePause, renewLocks } from '../src/lua/workers/locks.ts';
import type { RedisClient } from '../src/redis/connection.ts';

/**
 * Recovery says how quickly other workers take over the jobs of a dead worker: shortly after `lockMs` and
 * `stalledMs` together have passed since its death.
 */
export interface Recovery {
  /**
   * How long a lock lasts, in milliseconds. It must outlast pauses of the event loop and short outages of
   * Redis.
   */
  lockMs: number;
  /**
   * The time between two checks for expired locks, in milliseconds. The checks cover the whole queue, so all
   * workers must use the same value.
   */
  stalledMs: number;
}

/**
 * QueueWorker holds jobs of one BullMQ queue, a model's or that of webhook deliveries, until its process
 * stops.
 */
export interface QueueWorker {
  /** Takes no more jobs, and releases those that lose nothing. Resolves when the last job has ended. */
  leave(): Promise<void>;
  /** Releases the remaining jobs. */
  release(): void;
  /** Whether an attempt here has bought, or is buying, a response that no other worker could adopt. */
  hasUnrecoverableWork(): boolean;
  /** Closes all connections without releasing any job, for a Redis that does not answer. */
  abandon(): void;
}

/** ExactJob reads the data of a job and keeps the digits of its numbers, whichever client wrote them. */
class ExactJob<Data, Result, Name extends string, Progress extends JobProgress> extends Job<
  Data,
  Result,
  Name,
  Progress
> {
  static override fromJSON<Data, Result, Name extends string>(
    ...[queue, json, id]: Parameters<typeof Job.fromJSON>
  ): Job<Data, Result, Name> {
    const job = Job.fromJSON<Data, Result, Name>(queue, { ...json, data: '{}' }, id);
    job.data = parseExact(json.data || '{}') as Data;
    return job;
  }
}

/**
 * SteadyLockManager renews the locks of a worker's jobs by the monotonic clock. BullMQ's own lock manager
 * (bullmq 6.7.0) compares times of the machine's clock: after a step back of ten minutes it renews no lock
 * for ten minutes, so the locks expire and other workers take the jobs.
 */
class SteadyLockManager extends LockManager {
  override start(): void {
    clearTimeout(this.lockRenewalTimer);
    const { lockRenewTime } = this.opts;
    if (this.closed || lockRenewTime <= 0) return;
    this.lockRenewalTimer = setTimeout(async () => {
      const now = performance.now();
      const due = [...this.trackedJobs].filter(([, { ts }]) => ts + lockRenewTime / 2 < now);
      for (const [id, tracked] of due) this.trackedJobs.set(id, { ...tracked, ts: now });
      if (due.length > 0) await this.extendLocks(due.map(([id]) => id));
      this.start();
    }, lockRenewTime / 2);
  }

  /** BullMQ passes the time at which the worker took the job, by the machine's clock. */
  override trackJob(
    ...[id, token, , isCancellable]: Parameters<LockManager['trackJob']>
  ): ReturnType<LockManager['trackJob']> {
    return super.trackJob(id, token, performance.now(), isCancellable);
  }
}

/**
 * JobWorker is BullMQ's worker. Of two starts of the same job, the second one waits until the first one is
 * over.
 *
 * A worker that lost a lock may get the same job again before it notices the loss. BullMQ renews locks by job
 * id, and stops the renewal when a start is over and the worker asks for the next job. The end of the first
 * start would therefore stop the renewal of the second start's lock, and that lock would be lost too.
 *
 * While Redis takes no writes, no worker can renew a lock or take a job, so a lock that expires then is not
 * lost. When Redis takes writes again, each worker takes the locks of its jobs again, and no worker takes
 * over a job before that (`forgivePause`).
 */
export class JobWorker extends Worker {
  /** The jobs that BullMQ has fetched, and whose processing has not begun. */
  readonly #fetched = new Map<string, Job>();
  readonly #starts = new Map<string, { token: string; start: Promise<unknown> }>();
  readonly #redis: RedisClient;
  readonly #lockMs: number;
  readonly #onTakenAgain: (id: string) => void;

  /**
   * @param onTakenAgain is called when a start has to end, because the next start of the same job waits for
   * that end.
   */
  constructor(
    name: string,
    processor: Processor,
    options: WorkerOptions & { connection: RedisClient; lockDuration: number },
    onTakenAgain: (id: string) => void,
  ) {
    super(name, processor, options);
    this.#redis = options.connection;
    this.#lockMs = options.lockDuration;
    this.#onTakenAgain = onTakenAgain;
    this.#forgivePauses();
  }

  protected override createLockManager(): void {
    const { lockRenewTime = 0, lockDuration = 0, name } = this.opts;
    this.lockManager = new SteadyLockManager(
      this as unknown as ConstructorParameters<typeof SteadyLockManager>[0],
      {
        ...{ lockRenewTime, lockDuration, workerId: this.id },
        ...(name !== undefined && { workerName: name }),
      },
    );
  }

  override async extendJobLocks(ids: string[], tokens: string[]): Promise<string[]> {
    const askedAt = performance.now();
    const lost = await this.#renewLocks(ids.map((id, i) => [id, tokens[i] ?? '']));
    if (performance.now() - askedAt < this.#lockMs / 3) return lost;
    // Redis was away or accepted no writes, so locks may have run out. BullMQ names only some of the jobs. A
    // job whose end is being reported to BullMQ keeps no lock: if BullMQ refuses the completion because the
    // lock is missing, it must not be able to record a failure afterwards. The check for stalled jobs then
    // repeats the end.
    const running = new Set(this.lockManager.getTrackedJobIds());
    const held = [...this.#starts].flatMap(([id, { token }]): [string, string][] =>
      running.has(id) ? [[id, token]] : [],
    );
    const gone = new Set(await this.#renewLocks(held, '1'));
    return ids.filter((id) => gone.has(id));
  }

  async #renewLocks(held: readonly [id: string, token: string][], retake = ''): Promise<string[]> {
    const lost = await renewLocks.run(this.#redis, {
      keys: { active: this.toKey('active'), stalled: this.toKey('stalled') },
      args: { lockPrefix: this.toKey(''), lockMs: this.#lockMs, retake },
      rest: held.flat(),
    });
    return lost as string[];
  }

  /**
   * Lets the worker hold so many jobs at once. A worker that holds as many as it may notices a larger number
   * only when a job ends, so it is woken in the way in which BullMQ (6.7.0) itself does that when it closes.
   */
  holdUpTo(most: number): void {
    const isMore = most > this.concurrency;
    this.concurrency = most;
    const { mainLoopQueue } = this as unknown as {
      mainLoopQueue: { add(job: Promise<undefined>): void } | null;
    };
    if (isMore) mainLoopQueue?.add(Promise.resolve(undefined));
  }

  /**
   * Forgives a pause of Redis before each of BullMQ's checks for stalled jobs. The check is reached through
   * the backend, because BullMQ's own method for it is private.
   */
  #forgivePauses(): void {
    const backend = this.getBackend();
    const look = backend.moveStalledJobsToWait.bind(backend);
    backend.moveStalledJobsToWait = async () => {
      await forgivePause.run(this.#redis, {
        keys: { meta: this.toKey('meta'), stalled: this.toKey('stalled') },
        args: { pauseMs: this.#lockMs / 2 },
      });
      return look();
    };
  }

  protected override get Job(): typeof Job {
    return ExactJob;
  }

  /**
   * Returns the jobs that this worker holds, and whose processing has not begun: BullMQ fetches as many jobs
   * as there are, up to the concurrency, before it processes the first.
   */
  fetched(): Job[] {
    return [...this.#fetched.values()];
  }

  protected override async nextJobFromJobData(
    ...args: Parameters<Worker['nextJobFromJobData']>
  ): ReturnType<Worker['nextJobFromJobData']> {
    const job = await super.nextJobFromJobData(...args);
    if (job?.id !== undefined) this.#fetched.set(job.id, job);
    return job;
  }

  override async processJob(
    job: Job,
    token: string,
    fetchNext?: () => boolean,
  ): ReturnType<Worker['processJob']> {
    const id = job.id ?? '';
    this.#fetched.delete(id);
    const earlier = this.#starts.get(id);
    if (earlier !== undefined) this.#onTakenAgain(id);
    const start = (async () => {
      await earlier?.start.catch(() => {});
      job.data = await wholeData(job.data);
      return super.processJob(job, token, fetchNext);
    })();
    this.#starts.set(id, { token, start });
    try {
      return await start;
    } finally {
      if (this.#starts.get(id)?.start === start) this.#starts.delete(id);
    }
  }
}

/**
 * closeWorker closes a worker. Call it only while Redis answers; otherwise use `abandon`. BullMQ closes its
 * blocking connection first. If that connection has failed, BullMQ does not wait for the jobs of the worker.
 * If that connection is between two tries to connect, BullMQ waits for ever.
 */
export async function closeWorker(worker: JobWorker, redis: RedisClient): Promise<void> {
  const blocking = await worker.getBackend().blockingClient;
  for (const client of [redis, blocking]) {
    if (client !== undefined && client.status !== 'ready') {
      await new Promise<void>((resolve) => client.once('ready', () => resolve()));
    }
  }
  return worker.close();
}
