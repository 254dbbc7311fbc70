import type { RequestHandler, Response } from 'express';
import { createSharedSlots } from '../../src/async/shared-slots.ts';
import { HttpProblem } from '../http/http-problem.ts';
import { callerOf } from './caller.ts';

/**
 * How many heavy calls a producer works on at once: lists, searches, bulks, selections. Each takes the
 * producer and Redis many times as long as a small call. With more at once, small calls would wait for a step
 * of each of them, and no heavy call would be answered sooner.
 */
const AT_ONCE = 4;
/** How long a heavy call waits for its turn, in milliseconds. */
const WAIT_MS = 20_000;
const RETRY_S = 5;
/** SharedSlots share between models, too. Heavy calls concern all models. */
const ANY_MODEL = 'any';

/** HeavyCalls let the heavy calls of each caller take turns. */
export interface HeavyCalls {
  /**
   * run does the work of a heavy call when its turn has come. One caller has at most two turns at a time, so
   * that two are left for callers that have none; without keys there is one caller, who may have all.
   * @throws {HttpProblem} `too_many_requests` when its turn did not come in time.
   * @throws the signal's reason when it aborts first.
   */
  run<Answer>(response: Response, gone: AbortSignal, work: () => Promise<Answer>): Promise<Answer>;
}

/** @param waitMs how long a call waits for its turn, in milliseconds. Default 20,000. */
export function createHeavyCalls(waitMs = WAIT_MS): HeavyCalls {
  const slots = createSharedSlots(AT_ONCE, [ANY_MODEL]);
  return {
    async run(response, gone, work) {
      const tenant = callerOf(response)?.tenant ?? '';
      const release = await slots.acquire({ model: ANY_MODEL, tenant }, gone, waitMs);
      if (release === undefined) {
        gone.throwIfAborted();
        throw new HttpProblem(
          'too_many_requests',
          'Lists, searches, bulks and selections take turns, and those before this one took too long: send fewer ' +
            'at a time',
          { headers: { 'retry-after': String(RETRY_S), 'retry-after-ms': String(RETRY_S * 1000) } },
        );
      }
      try {
        return await work();
      } finally {
        release();
      }
    },
  };
}

/** heavyPages gives the pages that list jobs their turn among heavy calls. It ends with the answer. */
export function heavyPages(heavy: HeavyCalls): RequestHandler {
  return (_request, response, next) => {
    const gone = new AbortController();
    const closed = new Promise<void>((resolve) => {
      response.once('close', () => {
        gone.abort();
        resolve();
      });
    });
    heavy
      .run(response, gone.signal, () => {
        next();
        return closed;
      })
      .catch((error: unknown) => {
        if (!gone.signal.aborted) next(error);
      });
  };
}
