import type { Random } from '../fleet/random.ts';

/** Tokens of one job, input, reasoning and answer together. */
export interface SizeRange {
  /** Half of all are smaller. */
  median: number;
  least: number;
  most: number;
}

/** From `least` to `most` is five standard deviations of a log-normal distribution: nearly all of it, and the rest is cut off. */
const DEVIATIONS = 5;
/** How many numbers between 0 and 1 are summed up for one that is distributed normally. */
const SUMMANDS = 12;
const FINE = 1_000_000;

/** As jobs are: most are small, few are very large. */
export function randomTokens(random: Random, { median, least, most }: SizeRange): number {
  let normal = -SUMMANDS / 2;
  for (let i = 0; i < SUMMANDS; i += 1) normal += random.between(0, FINE) / FINE;
  const sigma = Math.log(most / least) / DEVIATIONS;
  return Math.round(Math.min(most, Math.max(least, median * Math.exp(normal * sigma))));
}

/** A job whose response uses just so many: a fifth for the question, half for reasoning, the rest for the answer. */
export function requestOfSize(
  name: string,
  tokens: number,
  metadata: Readonly<Record<string, string>>,
): { question: string; metadata: Record<string, string> } {
  const input = Math.max(1, Math.floor(tokens / 5));
  const reasoning = Math.floor(tokens / 2);
  return {
    question: `${name} is of its own size`,
    metadata: {
      sim_input_tokens: String(input),
      sim_reasoning_tokens: String(reasoning),
      sim_output_tokens: String(Math.max(1, tokens - input - reasoning)),
      sim_deltas: '2',
      ...metadata,
    },
  };
}
