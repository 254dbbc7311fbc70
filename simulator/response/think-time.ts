/** How long each response thinks. Without jitter always the same; with it, the seed fixes the sequence. */
export function createPace(thinkMs: number, jitter: number, seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    if (jitter === 0) return thinkMs;
    // mulberry32: small, and the same on every machine, which Math.random is not
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const unit = ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    return thinkMs * (1 + jitter * (2 * unit - 1));
  };
}
