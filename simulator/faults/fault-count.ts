/**
 * FaultCounts counts how often each question has met its fault, because a fault ends after the number of
 * times in `sim_times`.
 */
export type FaultCounts = {
  /** Whether the next create of this question meets its fault. */
  isLeft(key: string, times: number): boolean;
  /** Counts a create of this question that met its fault. */
  add(key: string): void;
  reset(): void;
};

/**
 * The most questions that are remembered, to bound the memory. A question that is forgotten meets its faults
 * again.
 */
const MAX_KEYS = 100_000;

export function createFaultCounts(): FaultCounts {
  const counts = new Map<string, number>();
  return {
    isLeft: (key, times) => (counts.get(key) ?? 0) < times,
    add: (key) => {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (counts.size <= MAX_KEYS) return;
      const [oldest] = counts.keys();
      if (oldest !== undefined) counts.delete(oldest);
    },
    reset: () => counts.clear(),
  };
}
