import type { ModelConfig } from '../../src/config/file.ts';
import {
  DEFAULT_MARGIN_MS,
  type DiscountedWindow,
  mayHaveWindows,
  windowFor,
} from '../../src/job/completion-window.ts';
import type { StoredOptions } from '../../src/job/stored-options.ts';
import type { NeededWindow, WindowLateness } from '../../src/quota/quota.ts';

/** WindowChoice chooses the completion windows of the jobs that one upstream model answers. */
export interface WindowChoice {
  /**
   * Returns the window for a job that is sent now; undefined: it needs none, or the time that is left is too
   * short for any.
   */
  choose(need: NonNullable<StoredOptions['need']>): NeededWindow | undefined;
  /** Learns how late answers were. */
  learn(lateness: WindowLateness): void;
}

/** The answers after which the margins go by what the answers took. */
const ENOUGH_ANSWERS = 20;
/** The least margin, as a share of the default one. */
const LEAST_SHARE = 0.25;
/** The margin is so many times as long as the latest answer was late. */
const SAFETY = 1.5;
const LONGEST_MARGIN_MS = 4 * 3_600_000;

/** Windows require Standard processing: a job for another tier gets none from the queue. */
const STANDARD: readonly (string | undefined)[] = [undefined, 'auto', 'default'];

/**
 * @param now returns the time of Redis, in Unix milliseconds.
 * @param windowScale see WorkerOptions.
 */
export function createWindowChoice(
  model: ModelConfig,
  upstreamModel: string,
  now: () => number,
  windowScale = 1,
): WindowChoice {
  const isOffered = mayHaveWindows(model, upstreamModel) && model.background !== 'never';
  const offered = isOffered ? model.completionWindows : {};
  let marginMs = DEFAULT_MARGIN_MS;
  return {
    choose({ by, window, tier }) {
      if (window !== undefined) return isOffered ? { name: window, isCallers: true } : undefined;
      if (by === undefined || !STANDARD.includes(tier)) return undefined;
      const name = windowFor({ leftMs: (by - now()) * windowScale, offered, marginMs });
      return name === 'soonest' ? undefined : { name, isCallers: false };
    },
    learn(lateness) {
      marginMs = { '2h': marginFor('2h', lateness), '8h': marginFor('8h', lateness) };
    },
  };
}

/**
 * marginFor returns the time that must be left beyond a window, in milliseconds. It is the default one until
 * enough answers have shown how late the upstream is. After that it is shorter where all answers came within
 * their window, and longer where some did not.
 */
export function marginFor(window: DiscountedWindow, lateness: WindowLateness): number {
  const { lateMs, answers } = lateness[window];
  const usual = DEFAULT_MARGIN_MS[window];
  const least = answers < ENOUGH_ANSWERS ? usual : usual * LEAST_SHARE;
  return Math.min(Math.max(least, lateMs * SAFETY), LONGEST_MARGIN_MS);
}
