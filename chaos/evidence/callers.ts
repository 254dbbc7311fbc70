import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { PlannedJob } from '../fleet/job-plan.ts';
import { becomes } from '../fleet/timing.ts';
import type { History } from './history.ts';

/** Callers enqueue, cancel and look at jobs over HTTP. They are patient with an instance that is away. */
export interface Callers {
  /** Enqueues a job, and cancels it later if the plan says so. */
  ask(job: PlannedJob): Promise<void>;
  /** @returns when the cancel was answered; undefined: it was refused, or its answer was lost. */
  cancel(id: string): Promise<number | undefined>;
  /** Looks at every job each second until the signal aborts. */
  watch(until: AbortSignal): Promise<void>;
  /** @returns false if some jobs have not ended within the limit. */
  allFinished(limitMs: number): Promise<boolean>;
  /** How many enqueue requests were refused or got no answer. */
  readonly refused: number;
}

/** How long a caller tries to reach a producer that is being replaced. */
const REACH_LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 1000;

export function createCallers(fleet: Fleet, history: History, signal: AbortSignal): Callers {
  let refused = 0;

  const lookAtAll = async (): Promise<void> => {
    const askedAt = Date.now();
    for await (const view of fleet.client.jobs({}, { signal })) history.saw(view, askedAt);
  };
  const cancel = async (id: string): Promise<number | undefined> => {
    try {
      const view = await fleet.client.cancel(id, { signal });
      const at = Date.now();
      history.cancelAnswered(view, at);
      return at;
    } catch (error: unknown) {
      if (error instanceof O3ClientError) return undefined;
      throw error;
    }
  };

  return {
    cancel,
    get refused() {
      return refused;
    },
    async ask({ request, cancelAfterMs }) {
      let id: string | undefined;
      // The request is repeated only if it certainly did not arrive. Otherwise the question could become two
      // jobs.
      const isDecided = async (): Promise<boolean> => {
        try {
          const view = await fleet.client.enqueue(request, { signal });
          history.accepted(view);
          id = view.id;
          return true;
        } catch (error: unknown) {
          if (!(error instanceof O3ClientError)) throw error;
          return error.code !== 'instance_unreachable';
        }
      };
      await becomes(isDecided, REACH_LIMIT_MS, signal, 200);
      if (id === undefined) refused += 1;
      else if (cancelAfterMs !== undefined) {
        await sleep(cancelAfterMs, signal);
        await cancel(id);
      }
    },
    async watch(until) {
      while (!until.aborted) {
        await lookAtAll().catch((error: unknown) => {
          signal.throwIfAborted();
          // An instance that is away cannot show its jobs.
          if (!(error instanceof O3ClientError)) throw error;
        });
        await sleep(LOOK_EVERY_MS, signal);
      }
    },
    allFinished: (limitMs) =>
      becomes(
        async () => {
          await lookAtAll().catch((error: unknown) => {
            if (!(error instanceof O3ClientError)) throw error;
          });
          return history.finished === history.jobs.size;
        },
        limitMs,
        signal,
        500,
      ),
  };
}
