import { setTimeout as pause } from 'node:timers/promises';
import { QueueError } from '../../src/errors/problem.ts';

const TRY_AGAIN_MS = 1000;

/**
 * Looks again and again while Redis is away. For calls whose job is stored: to be sent away would make their caller ask again, or take what it has
 * of a stream for all of it.
 */
export async function throughOutages<Found>(look: () => Promise<Found>, signal: AbortSignal): Promise<Found> {
  for (;;) {
    try {
      return await look();
    } catch (error: unknown) {
      signal.throwIfAborted();
      if (!(error instanceof QueueError) || error.code !== 'redis_unavailable') throw error;
      await pause(TRY_AGAIN_MS, undefined, { signal });
    }
  }
}
