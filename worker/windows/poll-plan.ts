/** PollPlan says when a response is looked up. All times are in milliseconds. */
export interface PollPlan {
  /** The pause before the first lookup. Not above 0: the response is old, and is looked up at once. */
  readonly firstMs: number;
  /** Returns the pause before the next lookup, and the least to which it may be cut. */
  next(now: PollState): { pauseMs: number; leastMs: number };
}

/** PollState is what a plan goes by after a lookup. */
export interface PollState {
  /** The age of the response, in milliseconds. */
  ageMs: number;
  /** The pause for which the upstream has asked, in milliseconds; undefined: it has asked for none. */
  pollAfterMs: number | undefined;
  /** Whether a webhook has brought the lookup, although the response has not ended yet. */
  isWoken: boolean;
  /** Whether the upstream has not found the response. */
  isMissing: boolean;
}

const FIRST_MS = 250;
const SLOWEST_MS = 5000;
/** Each pause is this many times as long as the one before. */
const GROWTH = 1.5;
/** With that growth, a pause is about a third of the time that has passed. */
const POLLS_PER_AGE = 3;

/** createPollPlan polls often at first, and then ever less often, up to every five seconds. */
export function createPollPlan(ageMs: number): PollPlan {
  let pauseMs = within(FIRST_MS, ageMs / POLLS_PER_AGE, SLOWEST_MS);
  return {
    firstMs: Math.min(FIRST_MS, FIRST_MS - ageMs),
    next({ isWoken }) {
      const now = isWoken ? FIRST_MS * GROWTH : pauseMs;
      pauseMs = Math.min(now * GROWTH, SLOWEST_MS);
      return { pauseMs: now, leastMs: 0 };
    },
  };
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** The ages at which a response within a window is looked up first: it may be answered at once. */
const FIRST_LOOKS_MS = [2 * SECOND_MS, 5 * SECOND_MS, 15 * SECOND_MS];
const LATER_MS = MINUTE_MS;
/**
 * The longest pause: a project without data retention may keep an answer for ten minutes only, and one lookup
 * may fail.
 */
const LONGEST_MS = 5 * MINUTE_MS;
const URGENT_MS = 15 * SECOND_MS;
const SHORTEST_MS = SECOND_MS;
/** The pauses differ by up to a fifth, so that responses bought together are not looked up together. */
const JITTER = 0.2;

/**
 * createWindowedPollPlan polls a response within a completion window: after 2, 5 and 15 seconds, then every
 * minute, and after an hour every five minutes. 2,000 responses take seven lookups a second after their first
 * hour; before it, their turns limit them. A webhook still brings the lookup at once.
 */
export function createWindowedPollPlan(ageMs: number, random: () => number = Math.random): PollPlan {
  const pauseAt = (age: number): number => {
    const first = FIRST_LOOKS_MS.find((at) => age < at);
    if (first !== undefined) return first - age;
    return age < HOUR_MS ? LATER_MS : LONGEST_MS;
  };
  return {
    firstMs: FIRST_LOOKS_MS.some((at) => ageMs < at) ? pauseAt(ageMs) : 0,
    next({ ageMs: age, pollAfterMs, isWoken, isMissing }) {
      const spread = 1 - JITTER + 2 * JITTER * random();
      const planned = pauseAt(age) * spread;
      const asked = pollAfterMs ?? planned;
      const most = isWoken || isMissing ? URGENT_MS : LONGEST_MS;
      const pauseMs = within(SHORTEST_MS, asked, most);
      return { pauseMs, leastMs: pauseMs };
    },
  };
}

function within(least: number, value: number, most: number): number {
  return Math.min(Math.max(least, value), most);
}
