/** One "token" of the simulator is a word with the space after it. */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S+\s*/g) ?? [];
}

const FILLER = tokensOf('and so on, as any simulated answer of this length would, ');

/**
 * The text made `count` tokens long: cut short, or padded with filler. Kept as a base and a count and
 * spelled out only when asked for, so that ten thousand long answers in flight cost no memory.
 */
export function stretch(base: string, count: number): string[] {
  const tokens = tokensOf(base);
  if (count <= tokens.length) return tokens.slice(0, count);
  const last = tokens.length - 1;
  if (last >= 0) tokens[last] = `${tokens[last]?.trimEnd()} `;
  for (let index = 0; tokens.length < count; index += 1) tokens.push(FILLER[index % FILLER.length] ?? '');
  return tokens;
}

/** Joins tokens into `count` deltas of nearly equal length; never more deltas than tokens. */
export function groupIntoDeltas(tokens: readonly string[], count: number): string[] {
  if (count >= tokens.length) return [...tokens];
  return Array.from({ length: count }, (_, index) =>
    tokens
      .slice(Math.floor((index * tokens.length) / count), Math.floor(((index + 1) * tokens.length) / count))
      .join(''),
  );
}
