/** FaultCounts counts how often each question has met its fault, so that `sim_times` can end the faults. */
export type FaultCounts = {
  /** Whether the next create of this question meets its fault. */
  isLeft(key: string, times: number): boolean;
  /** Counts a create of this question that met its fault. */
  add(key: string): void;
  reset(): void;
};

/** Bounds the memory: beyond this count the oldest question is forgotten, and its faults begin anew. */
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
