import { setTimeout as timer } from 'node:timers/promises';

/**
 * sleep waits the given number of milliseconds; less than 0 counts as 0.
 *
 * @throws the signal's reason when it aborts, as fetch does.
 */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  await timer(Math.max(0, milliseconds), undefined, options).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}
