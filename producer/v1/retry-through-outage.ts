import { setTimeout as sleep } from 'node:timers/promises';
import { QueueError } from '../../src/errors/problem.ts';

const TRY_AGAIN_MS = 1000;

/**
 * throughOutages repeats a read while Redis is away. Use it for calls whose job is already stored: an error
 * would make the caller send the request again, or take a part of a stream for the whole stream.
 */
export async function throughOutages<Found>(look: () => Promise<Found>, signal: AbortSignal): Promise<Found> {
  for (;;) {
    try {
      return await look();
    } catch (error: unknown) {
      signal.throwIfAborted();
      if (!(error instanceof QueueError) || error.code !== 'redis_unavailable') throw error;
      await sleep(TRY_AGAIN_MS, undefined, { signal });
    }
  }
}
