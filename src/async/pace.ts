/** Pace limits how often all jobs of this process together have a turn of some work, such as a look-up. */
export interface Pace {
  /** Counts one more job, until that job calls `leave`. */
  join(): void;
  leave(): void;
  /** The shortest pause between two turns of the same job, in milliseconds. */
  pauseMs(): number;
}

/**
 * createPace makes a Pace. A few jobs have their turns almost without a pause; thousands of jobs share
 * `perSecond` turns. Each turn takes about a millisecond of this process or of Redis, so thousands of turns
 * at once would leave no time for other work.
 *
 * @param perSecond the most turns per second of all jobs together.
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
