/** Amount is what creates have used in 60 seconds. */
export type Amount = { readonly requests: number; readonly tokens: number };

/**
 * RateWindow holds the creates of the last 60 seconds, each with its own time. It has no buckets, so no 60
 * seconds contain more than the limit, wherever they begin. Each create takes the memory of two numbers for
 * one minute.
 */
export type RateWindow = {
  used(nowMs: number): Amount;
  take(tokens: number, nowMs: number): void;
  /** Milliseconds until one more create fits into the limit; 0: now. */
  untilRequests(limit: number, nowMs: number): number;
  /**
   * Milliseconds until `requested` more tokens fit into the limit. The limit must be at least `requested`.
   */
  untilTokens(limit: number, requested: number, nowMs: number): number;
  /** Milliseconds until the window is empty. */
  untilEmpty(nowMs: number): number;
};

const WINDOW_MS = 60_000;
/**
 * Expired entries are cut off only when there are at least this many and they make up at least half of the
 * list.
 */
const MIN_CUT = 1024;

/**
 * `sum` is the tokens of this create and all earlier ones, so the tokens of any interval are one subtraction.
 */
type Entry = { readonly atMs: number; readonly sum: number };

export function createRateWindow(): RateWindow {
  let entries: Entry[] = [];
  let first = 0;
  /** The sum of tokens at the last create, and the sum at the last create that has left the window. */
  let taken = 0;
  let left = 0;

  const settle = (nowMs: number): void => {
    for (let entry = entries[first]; entry && hasLeft(entry, nowMs); entry = entries[first]) {
      left = entry.sum;
      first += 1;
    }
    if (first < MIN_CUT || first * 2 < entries.length) return;
    entries = entries.slice(first);
    first = 0;
  };
  const untilLeft = (entry: Entry | undefined, nowMs: number): number =>
    entry ? WINDOW_MS - (nowMs - entry.atMs) : 0;

  return {
    used: (nowMs) => {
      settle(nowMs);
      return { requests: entries.length - first, tokens: taken - left };
    },
    take: (tokens, nowMs) => {
      settle(nowMs);
      taken += tokens;
      entries.push({ atMs: nowMs, sum: taken });
    },
    untilRequests: (limit, nowMs) => {
      settle(nowMs);
      if (entries.length - first < limit) return 0;
      return untilLeft(entries[entries.length - limit], nowMs);
    },
    untilTokens: (limit, requested, nowMs) => {
      settle(nowMs);
      const excess = taken - left + requested - limit;
      if (excess <= 0) return 0;
      let index = first;
      for (let entry = entries[index]; entry && entry.sum - left < excess; entry = entries[index]) index += 1;
      return untilLeft(entries[index], nowMs);
    },
    untilEmpty: (nowMs) => {
      settle(nowMs);
      return first === entries.length ? 0 : untilLeft(entries.at(-1), nowMs);
    },
  };
}

/**
 * A create counts until it is 60 seconds old. The subtraction has the same order as in `untilLeft`: another
 * order could round to "no wait" while the create still counts.
 */
function hasLeft({ atMs }: Entry, nowMs: number): boolean {
  return nowMs - atMs >= WINDOW_MS;
}
