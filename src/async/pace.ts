/** Pace limits how often this process does something for its jobs, all of them together. */
export interface Pace {
  /** Adds a job, until `leave`. */
  join(): void;
  leave(): void;
  /** The shortest pause between two turns of the same job, in milliseconds. */
  pauseMs(): number;
}

/**
 * createPace makes a Pace. A few jobs have their turns without delay; thousands share `perSecond`. Each turn
 * takes about a millisecond of this process or of Redis, so thousands of turns at once would leave no time
 * for other work.
 *
 * @param perSecond the most turns per second.
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
