/** Turns gives each of many members its turn of some work in this process, such as lookups of responses. */
export interface Turns {
  /** Adds a member. @param signal ends each wait of the member when it aborts. */
  join(signal: AbortSignal): TurnTaker;
}

/** TurnTaker is one member of Turns. */
export interface TurnTaker {
  /**
   * Waits for the member's next turn. The turn lasts until the next call, or until `leave`.
   * @param pauseMs the time of the turn, in milliseconds from now. It comes later when there are too few turns,
   * and earlier, after a fifth of the pause, when the turns of others are useful.
   * @param leastMs the earliest time of the turn in any case, in milliseconds from now.
   * @returns whether `wake` has begun the turn.
   */
  next(pauseMs: number, leastMs?: number): Promise<boolean>;
  /** Begins the next turn at once, before all other members. Call it when the turn is sure to be useful. */
  wake(): void;
  /** Records that the current turn was useful. Ends the turn. */
  succeed(): void;
  leave(): void;
}

/** TurnLimits limit the turns of all members together. */
export interface TurnLimits {
  /** How many turns a second may begin that turn out to be useless. */
  uselessPerSecond: number;
  /** How many further turns each useful one allows, because what was useful for one may be so for others. */
  moreAfterUseful: number;
  /** How many turns may last at once before useful turns and `wake` begin no further ones. */
  atOnce: number;
}

interface Member {
  pauseMs: number;
  /** When the member may have its next turn, on the monotonic clock in milliseconds. */
  readyAt: number;
  /** The set of waiting members that has this one; undefined: the member does not wait. */
  place: Set<Member> | undefined;
  isWoken: boolean;
  /** What has begun the member's turn; undefined: it has none. */
  turn: 'regular' | 'woken' | undefined;
  begin: (() => void) | undefined;
}

/** Turns begin at multiples of this time, in milliseconds. One timer then serves many members. */
const TICK_MS = 25;
/**
 * A turn that no member takes within this time (ms) is lost, so that turns do not come in one burst later.
 */
const KEPT_MS = 250;
/** Shorter pauses count as this long, in milliseconds, when the lateness of members is compared. */
const SHORTEST_MS = 250;
/** The share of its pause that a member rests in any case. After that it may have one of the extra turns. */
const LEAST_REST = 0.2;
/** How many queues there are for pauses between one length and twice that length. */
const QUEUES_PER_OCTAVE = 8;

/**
 * createTurns makes Turns. One timer serves all members. Turns begin in the order of lateness relative to the
 * members' own pauses: when there are too few turns, all pauses become longer by the same factor.
 *
 * At most `uselessPerSecond` turns a second begin, and besides them `1 + moreAfterUseful` for each useful
 * one. So thousands of members whose work becomes useful at the same time have their turns as fast as
 * `atOnce` allows.
 */
export function createTurns({ uselessPerSecond, moreAfterUseful, atOnce }: TurnLimits): Turns {
  let members = 0;
  let underWay = 0;
  const mostRegular = Math.max(1, (uselessPerSecond * KEPT_MS) / 1000);
  let regular = mostRegular;
  let extra = 0;
  let countedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  /** The tick in which the timer ends. */
  let timerTick = Number.POSITIVE_INFINITY;
  /** Members that must rest, by the tick in which their rest ends. */
  const resting = new Map<number, Set<Member>>();
  /** The first tick in which rests have not ended. */
  let nextTick = 0;
  /**
   * Members that have rested enough for a turn, in the order of time. Each queue has pauses of one length.
   */
  const queues = new Map<number, Set<Member>>();
  const woken = new Set<Member>();

  const put = (member: Member, set: Set<Member>): void => {
    member.place?.delete(member);
    member.place = set.add(member);
  };
  const line = (member: Member): void => {
    const length = Math.round(Math.log2(member.pauseMs) * QUEUES_PER_OCTAVE);
    const queue = queues.get(length) ?? new Set();
    queues.set(length, queue);
    put(member, queue);
  };
  const endRests = (now: number): void => {
    const tick = Math.floor(now / TICK_MS);
    for (; nextTick <= tick && resting.size > 0; nextTick += 1) {
      for (const member of resting.get(nextTick) ?? []) line(member);
      resting.delete(nextTick);
    }
    nextTick = tick + 1;
  };
  const wakeUpAt = (tick: number): void => {
    if (tick >= timerTick) return;
    clearTimeout(timer);
    timerTick = tick;
    timer = setTimeout(
      () => {
        timerTick = Number.POSITIVE_INFINITY;
        beginTurns();
      },
      tick * TICK_MS - performance.now(),
    );
  };
  /** How late a member is, in lengths of its pause. Negative: its pause is not over. */
  const lateness = (member: Member, now: number): number => (now - member.readyAt) / member.pauseMs;
  const latest = (now: number): Member | undefined => {
    let found: Member | undefined;
    for (const [first] of queues.values()) {
      if (first === undefined) continue;
      if (found === undefined || lateness(first, now) > lateness(found, now)) found = first;
    }
    return found;
  };
  /** The tick in which the next turn may begin, if nothing happens until then. */
  const tickOfNext = (): number => {
    let tick = woken.size > 0 ? nextTick : Math.min(...resting.keys());
    for (const [first] of queues.values()) {
      if (first !== undefined) tick = Math.min(tick, Math.ceil(first.readyAt / TICK_MS));
    }
    return Math.max(tick, nextTick);
  };
  const begin = (member: Member, turn: Member['turn']): void => {
    member.place?.delete(member);
    member.place = undefined;
    member.turn = turn;
    underWay += 1;
    member.begin?.();
  };
  const beginTurns = (): void => {
    const now = performance.now();
    regular = Math.min(mostRegular, regular + ((now - countedAt) * uselessPerSecond) / 1000);
    countedAt = now;
    endRests(now);
    for (const member of woken) {
      if (underWay >= atOnce) break;
      begin(member, 'woken');
    }
    for (let next = latest(now); next !== undefined; next = latest(now)) {
      if (regular >= 1 && next.readyAt <= now) regular -= 1;
      else if (extra >= 1 && underWay < atOnce) extra -= 1;
      else break;
      begin(next, 'regular');
    }
    wakeUpAt(tickOfNext());
  };
  const endTurn = (member: Member): void => {
    if (member.turn !== undefined) underWay -= 1;
    member.turn = undefined;
  };

  /** Lets a member wait for its next turn. */
  const rest = (member: Member, pauseMs: number, leastMs: number): void => {
    const now = performance.now();
    endRests(now);
    member.pauseMs = Math.max(pauseMs, SHORTEST_MS);
    member.readyAt = now + pauseMs;
    if (member.isWoken) put(member, woken);
    else if (pauseMs <= 0) line(member);
    else {
      const tick = Math.max(nextTick, Math.ceil((now + Math.max(leastMs, pauseMs * LEAST_REST)) / TICK_MS));
      const together = resting.get(tick) ?? new Set();
      resting.set(tick, together);
      put(member, together);
      wakeUpAt(tick);
      return;
    }
    beginTurns();
  };

  return {
    join(signal) {
      const member: Member = {
        pauseMs: 0,
        readyAt: 0,
        place: undefined,
        isWoken: false,
        turn: undefined,
        begin: undefined,
      };
      const stop = (): void => {
        member.place?.delete(member);
        member.place = undefined;
        member.begin?.();
      };
      signal.addEventListener('abort', stop, { once: true });
      members += 1;
      return {
        async next(pauseMs, leastMs = 0) {
          endTurn(member);
          if (!signal.aborted) {
            await new Promise<void>((resolve) => {
              member.begin = resolve;
              rest(member, pauseMs, leastMs);
            });
            member.begin = undefined;
          }
          const wasWoken = member.isWoken;
          member.isWoken = false;
          return wasWoken;
        },
        wake() {
          member.isWoken = true;
          if (member.place === undefined) return;
          put(member, woken);
          beginTurns();
        },
        succeed() {
          // What a member was woken for says nothing about the others, which `wake` reaches, too.
          if (member.turn === 'regular')
            extra = Math.min(extra + 1 + moreAfterUseful, atOnce * (1 + moreAfterUseful));
          endTurn(member);
          beginTurns();
        },
        leave() {
          signal.removeEventListener('abort', stop);
          member.place?.delete(member);
          endTurn(member);
          members -= 1;
          if (members > 0) return;
          clearTimeout(timer);
          timerTick = Number.POSITIVE_INFINITY;
          resting.clear();
        },
      };
    },
  };
}
