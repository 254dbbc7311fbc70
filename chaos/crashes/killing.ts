import { sleep } from '../../src/async/sleep.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Random } from '../fleet/random.ts';
import type { Departure } from './takeovers.ts';

/** KillingOptions say whom to kill and when. */
export interface KillingOptions {
  fleet: Fleet;
  random: Random;
  /** How many workers the fleet has. */
  workers: number;
  everyMs: number;
  /** Ends the killing. */
  over: AbortSignal;
  /** Ends the scenario. */
  signal: AbortSignal;
}

/**
 * killRepeatedly kills and replaces a random worker again and again.
 * @param departures gets each kill.
 */
export async function killRepeatedly(
  { fleet, random, workers, everyMs, over, signal }: KillingOptions,
  departures: Departure[],
): Promise<void> {
  const replacements: Promise<unknown>[] = [];
  const startedAt = Date.now();
  for (let number = 1; ; number += 1) {
    await sleep(startedAt + number * everyMs - Date.now(), signal);
    if (over.aborted) break;
    // The random number is drawn before a worker is chosen. The sequence must not depend on how quickly
    // replacements start.
    const choice = random.between(0, workers - 1);
    const worker = fleet.workers[choice % Math.max(1, fleet.workers.length)];
    if (worker === undefined) continue;
    departures.push({ worker: worker.child.name, at: fleet.killWorker(worker) });
    replacements.push(fleet.addWorker());
  }
  await Promise.all(replacements);
}
