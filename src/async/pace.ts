/** How often this process does something for each of many jobs, all together. */
export interface Pace {
  /** Counts one more that takes part, until `leave`. */
  join(): void;
  leave(): void;
  /** The shortest pause between two turns of the same one, in milliseconds. */
  pauseMs(): number;
}

/**
 * @param perSecond turns a second at most. A few then have theirs as often as they like; thousands take turns, because each
 * costs about a millisecond of this process or of Redis, and all of them at once would leave no time for anything else.
 */
export function createPace(perSecond: number): Pace {
  let members = 0;
  return {
    join: () => {
      members += 1;
    },
    leave: () => {
      members -= 1;
    },
    pauseMs: () => (members * 1000) / perSecond,
  };
}
