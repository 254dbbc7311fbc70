/**
 * tokensOf splits a text into the simulator's "tokens": words with the space after them. JSON has no spaces,
 * so a word of more than 16 characters is several tokens.
 */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S{1,16}\s*/gu) ?? [];
}

const FILLER = tokensOf('and so on, as any simulated answer of this length would, ');

/**
 * stretch makes a text `count` tokens long: it cuts the text, or pads it with filler. A script keeps only the
 * short text and the count, so ten thousand long answers in flight need little memory.
 */
export function stretch(base: string, count: number): string[] {
  const tokens = tokensOf(base);
  if (count <= tokens.length) return tokens.slice(0, count);
  const last = tokens.length - 1;
  if (last >= 0) tokens[last] = `${tokens[last]?.trimEnd()} `;
  for (let index = 0; tokens.length < count; index += 1) tokens.push(FILLER[index % FILLER.length] ?? '');
  return tokens;
}

/**
 * groupIntoDeltas joins tokens into `count` deltas of nearly equal length, or into fewer if there are fewer
 * tokens.
 */
export function groupIntoDeltas(tokens: readonly string[], count: number): string[] {
  if (count >= tokens.length) return [...tokens];
  return Array.from({ length: count }, (_, index) =>
    tokens
      .slice(Math.floor((index * tokens.length) / count), Math.floor(((index + 1) * tokens.length) / count))
      .join(''),
  );
}
