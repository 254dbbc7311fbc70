import type { ModelConfig } from '../../src/config/file.ts';
import { DEFAULT_MARGIN_MS } from '../../src/job/completion-window.ts';
import type { StoredOptions } from '../../src/job/stored-options.ts';
import {
  chooseWindow,
  marginsFor,
  type NeededWindow,
  type WindowLateness,
  type WindowMargins,
} from '../../src/quota/window-choice.ts';

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

/**
 * createWindowChoice makes the choice of one dispatcher. It keeps the margins, so that only a reservation for a
 * job with a window reads them.
 *
 * @param now returns the time of Redis, in Unix milliseconds.
 * @param windowScale see WorkerOptions.
 */
export function createWindowChoice(
  model: ModelConfig,
  upstreamModel: string,
  now: () => number,
  windowScale = 1,
): WindowChoice {
  let marginMs: WindowMargins = DEFAULT_MARGIN_MS;
  return {
    choose(need) {
      const leftMs = need.by === undefined ? undefined : (need.by - now()) * windowScale;
      return chooseWindow(need, leftMs, { model, upstreamModel, marginMs });
    },
    learn(lateness) {
      marginMs = marginsFor(lateness);
    },
  };
}
