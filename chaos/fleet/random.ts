/** Random gives numbers that look random and are the same for the same seed on every machine. */
export interface Random {
  /** A whole number from the first to the last, both included. */
  between(first: number, last: number): number;
  chance(share: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const unit = (): number => {
    // mulberry32, as in the simulator: small, and the same on every machine, unlike Math.random
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (first: number, last: number): number => first + Math.floor(unit() * (last - first + 1));
  return {
    between,
    chance: (share) => unit() < share,
    pick(items) {
      const item = items[between(0, items.length - 1)];
      if (item === undefined) throw new Error('expected items to choose from, got an empty list');
      return item;
    },
  };
}
