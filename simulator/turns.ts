/** Counts how often a question has misbehaved, so that `sim_times` can end it. */
export type Turns = {
  /** Whether this create still misbehaves; each true answer uses up one of `times`. */
  take(key: string, times: number | undefined): boolean;
  reset(): void;
};

/** Beyond this the oldest question is forgotten and would misbehave anew; memory stays bounded. */
const MAX_KEYS = 100_000;

export function createTurns(): Turns {
  const taken = new Map<string, number>();
  return {
    take: (key, times) => {
      if (times === undefined) return true;
      const count = taken.get(key) ?? 0;
      if (count >= times) return false;
      taken.set(key, count + 1);
      if (taken.size > MAX_KEYS) {
        const [oldest] = taken.keys();
        if (oldest !== undefined) taken.delete(oldest);
      }
      return true;
    },
    reset: () => taken.clear(),
  };
}
