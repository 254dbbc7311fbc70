import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../src/process/log.ts';
import type { WriteProbe } from '../src/redis/write-probe.ts';
import type { QueueWorker } from './job-worker.ts';

/**
 * How long Redis may be silent before it counts as away, in milliseconds. A restart of Redis takes longer
 * than this; a busy moment is shorter.
 */
const SILENCE_MS = 800;
const TICK_MS = 50;

/**
 * leaveAll stops the workers of all models. While Redis takes no writes, no job can be given back, and a
 * worker that waited for that would be ended by force. Instead it leaves: the locks of its jobs expire, and
 * other workers adopt the running responses. A worker waits only for a response that no other worker could
 * adopt.
 */
export async function leaveAll(
  workers: readonly QueueWorker[],
  probe: WriteProbe,
  logger: Logger,
): Promise<void> {
  const gone = new AbortController();
  const leaving = Promise.all(workers.map((worker) => worker.leave())).finally(() => gone.abort());
  const isWorthWaiting = (): boolean => workers.some((worker) => worker.hasUnrecoverableWork());
  const abandoning = silence(probe, isWorthWaiting, gone.signal).then((isSilent) => {
    if (!isSilent) return leaving;
    logger.warn(
      'Redis does not answer, so no job can be released: leaving; other workers take over when the locks expire',
    );
    for (const worker of workers) worker.abandon();
    return undefined;
  });
  await Promise.race([leaving, abandoning]);
}

/**
 * Resolves to true once Redis has not answered for `SILENCE_MS` and no response is worth waiting for, and to
 * false when `gone` aborts first. It counts ticks instead of time: after a pause of the event loop, timers
 * fire before answers are read.
 */
async function silence(
  probe: WriteProbe,
  isWorthWaiting: () => boolean,
  gone: AbortSignal,
): Promise<boolean> {
  let isAsked = false;
  for (let ticks = 0; !gone.aborted; ticks += 1) {
    if (ticks * TICK_MS >= SILENCE_MS && !isWorthWaiting()) return true;
    if (!isAsked) {
      isAsked = true;
      void probe().then((trouble) => {
        isAsked = false;
        if (trouble === undefined) ticks = 0;
      });
    }
    await sleep(TICK_MS);
  }
  return false;
}
