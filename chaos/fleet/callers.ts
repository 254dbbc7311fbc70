import { O3ClientError } from '../../src/client/client-error.ts';
import type { History } from '../evidence/history.ts';
import type { Fleet } from './fleet.ts';
import type { PlannedJob } from './job-plan.ts';
import { becomes, pause } from './timing.ts';

/** People who ask, cancel and look: over HTTP, and patient with an instance that is away. */
export interface Callers {
  /** Enqueues a job, and cancels it later if that is the plan. */
  ask(job: PlannedJob): Promise<void>;
  /** @returns when the cancel was answered; undefined: it was refused, or its answer lost. */
  cancel(id: string): Promise<number | undefined>;
  /** Looks at every job, now and again, until the signal aborts. */
  watch(until: AbortSignal): Promise<void>;
  /** @returns false: some had not ended within the limit. */
  allFinished(limitMs: number): Promise<boolean>;
  /** Enqueueings that were refused or whose answer was lost. */
  readonly refused: number;
}

/** How long a caller tries to reach a producer that is being replaced. */
const REACH_LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 1000;

export function createCallers(fleet: Fleet, history: History, signal: AbortSignal): Callers {
  let refused = 0;

  const lookAtAll = async (): Promise<void> => {
    for await (const view of fleet.client.jobs({}, { signal })) history.saw(view);
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
      // Only what was certainly not sent is sent again: the same question twice would be two jobs.
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
        await pause(cancelAfterMs, signal);
        await cancel(id);
      }
    },
    async watch(until) {
      while (!until.aborted) {
        await lookAtAll().catch((error: unknown) => {
          signal.throwIfAborted();
          // An instance that is away shows nothing.
          if (!(error instanceof O3ClientError)) throw error;
        });
        await pause(LOOK_EVERY_MS, signal);
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
