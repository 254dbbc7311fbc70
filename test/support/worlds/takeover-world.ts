import { startWorkerChild, type WorkerChild, type WorkerChildOptions } from '../worker/worker-child.ts';
import { startWorkerWorld, type WorkerWorld, type WorkerWorldOptions } from './worker-world.ts';

/** Locks outlast the wait for a takeover, so that only heartbeats can lead to one. */
const LONG_LOCKS = { lockMs: 120_000, stalledMs: 1000 };
/** How long a test waits for a fact, on a busy machine. */
export const FACT_LIMIT_MS = 60_000;
export const TEST_LIMIT_MS = 240_000;
export const RECOVERED = 'recovered from a worker that died';

/** TakeoverWorld is workers in processes of their own, which take jobs from each other. */
export interface TakeoverWorld {
  /** The world of the current test. */
  readonly world: WorkerWorld;
  /** Starts the world of a test, without a worker. */
  start(options?: WorkerWorldOptions): Promise<void>;
  addChild(options?: WorkerChildOptions): Promise<WorkerChild>;
  /** Adds a worker that reaches the upstream directly. */
  addUngatedChild(): Promise<WorkerChild>;
  /** Enqueues jobs; every second one is streamed. @returns their ids. */
  askMany(count: number, metadata: Record<string, string>): Promise<string[]>;
  /** How often each job was taken from a worker. */
  recoveriesOf(ids: readonly string[]): Promise<number[]>;
  /** Every job has been completed in its first attempt, and each was bought once. */
  requireBoughtOnce(ids: readonly string[]): Promise<void>;
}

/** How often a worker has logged this message. */
export const said = (child: WorkerChild, message: string): number =>
  child.said().split(`"msg":"${message}"`).length - 1;

/** useTakeoverWorld ends the world and the workers of each test of its file. */
export function useTakeoverWorld(): TakeoverWorld {
  let current: WorkerWorld | undefined;
  const children: WorkerChild[] = [];
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
    await current?.stop();
    current = undefined;
  }, TEST_LIMIT_MS);
  const running = (): WorkerWorld => {
    if (current === undefined) throw new Error('expected a test to start its world');
    return current;
  };
  const addChild = async (options: WorkerChildOptions = {}): Promise<WorkerChild> => {
    const world = running();
    const { models } = world.models;
    const child = await startWorkerChild(world, { recovery: LONG_LOCKS, models, ...options });
    children.push(child);
    return child;
  };
  return {
    get world() {
      return running();
    },
    async start(options = {}) {
      current = await startWorkerWorld({ workers: 0, ...options });
    },
    addChild,
    addUngatedChild: () => addChild({ baseUrl: running().upstreamUrl }),
    async askMany(count, metadata) {
      const jobs = await Promise.all(
        Array.from({ length: count }, (_, i) =>
          running().ask(`Who ${i}?`, metadata, { stream: i % 2 === 0 }),
        ),
      );
      return jobs.map(({ id }) => id);
    },
    async recoveriesOf(ids) {
      const jobs = await Promise.all(ids.map((id) => running().model().bullmq.getJob(id)));
      return jobs.map((job) => job?.stalledCounter ?? Number.NaN);
    },
    async requireBoughtOnce(ids) {
      for (const id of ids) {
        const job = await running().finished(id, FACT_LIMIT_MS);
        expect(job).toMatchObject({ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 0 });
      }
      expect(running().simulator.ledger.totals()).toMatchObject({
        ...{ purchases: ids.length, completed: ids.length, cancels: 0 },
      });
    },
  };
}
