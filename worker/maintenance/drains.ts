import type { RedisClient } from '../../src/redis/connection.ts';

/**
 * The time between two runs of each drain by every worker, in milliseconds. A message may be lost, and a
 * drain may fail.
 */
const SWEEP_MS = 5000;

/**
 * keepDrained runs each drain when a message arrives on its channel, and every few seconds.
 *
 * @param subscriber a connection for messages, shared with others.
 * @param drains the drains by their channels.
 * @returns a function that stops them.
 */
export function keepDrained(
  subscriber: RedisClient,
  drains: ReadonlyMap<string, () => Promise<void>>,
  onError: (error: Error) => void,
): () => void {
  let isStopped = false;
  // Errors after the stop are ignored: the next worker repeats a drain that lost its connection.
  const report = (error: Error): void => {
    if (!isStopped) onError(error);
  };
  const runs = new Map([...drains].map(([channel, drain]) => [channel, createExclusiveRun(drain, report)]));
  const sweep = (): void => {
    for (const run of runs.values()) run();
  };
  const hear = (channel: string): void => runs.get(channel)?.();
  subscriber.on('message', hear);
  subscriber.on('ready', sweep);
  subscriber.subscribe(...runs.keys()).then(sweep, report);
  const sweeping = setInterval(sweep, SWEEP_MS);
  return () => {
    isStopped = true;
    clearInterval(sweeping);
    subscriber.off('message', hear);
    subscriber.off('ready', sweep);
  };
}

/** Runs `run` once at a time. Any number of calls during a run cause one more run after it. */
function createExclusiveRun(run: () => Promise<void>, onError: (error: Error) => void): () => void {
  let isRunning = false;
  let isWanted = false;
  const start = (): void => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    isWanted = false;
    run()
      .catch(onError)
      .finally(() => {
        isRunning = false;
        if (isWanted) start();
      });
  };
  return start;
}
