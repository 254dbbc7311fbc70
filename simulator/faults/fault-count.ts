/** Counts how often a question has misbehaved, so that `sim_times` can end it. */
export type Turns = {
  /** Whether one more create of this question is to misbehave. */
  isLeft(key: string, times: number): boolean;
  /** One has misbehaved. */
  use(key: string): void;
  reset(): void;
};

/** Beyond this the oldest question is forgotten and would misbehave anew; memory stays bounded. */
const MAX_KEYS = 100_000;

export function createTurns(): Turns {
  const taken = new Map<string, number>();
  return {
    isLeft: (key, times) => (taken.get(key) ?? 0) < times,
    use: (key) => {
      taken.set(key, (taken.get(key) ?? 0) + 1);
      if (taken.size <= MAX_KEYS) return;
      const [oldest] = taken.keys();
      if (oldest !== undefined) taken.delete(oldest);
    },
    reset: () => taken.clear(),
  };
}
