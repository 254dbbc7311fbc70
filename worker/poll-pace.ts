/** How often the responses of one upstream are looked up by this process, all together. */
export interface PollPace {
  /** Counts one more response that is being polled, until `leave`. */
  join(): void;
  leave(): void;
  /** The shortest pause between two lookups of the same response, in milliseconds. */
  pauseMs(): number;
}

/**
 * @param perSecond lookups a second at most. A few responses are then looked up as often as they like; thousands take turns, because
 * each lookup costs about a millisecond of this process, and all of them at once would leave it no time for anything else.
 */
export function createPollPace(perSecond: number): PollPace {
  let polled = 0;
  return {
    join: () => {
      polled += 1;
    },
    leave: () => {
      polled -= 1;
    },
    pauseMs: () => (polled * 1000) / perSecond,
  };
}
