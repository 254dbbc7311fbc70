import type { Random } from '../fleet/random.ts';

/** SizeRange is a range of the tokens of one job: input, reasoning and answer together. */
export interface SizeRange {
  /** Half of all jobs are smaller. */
  median: number;
  least: number;
  most: number;
}

/** `least` to `most` is five standard deviations of a log-normal distribution; values outside are cut off. */
const DEVIATIONS = 5;
/** How many uniform numbers between 0 and 1 are added up to get one that is about normally distributed. */
const SUMMANDS = 12;
const FINE = 1_000_000;

/** randomTokens draws a realistic size: most jobs are small, few are very large. */
export function randomTokens(random: Random, { median, least, most }: SizeRange): number {
  let normal = -SUMMANDS / 2;
  for (let i = 0; i < SUMMANDS; i += 1) normal += random.between(0, FINE) / FINE;
  const sigma = Math.log(most / least) / DEVIATIONS;
  return Math.round(Math.min(most, Math.max(least, median * Math.exp(normal * sigma))));
}

/**
 * requestOfSize is a job that uses exactly `tokens`: a fifth for the question, half for reasoning, the rest
 * for the answer.
 */
export function requestOfSize(
  name: string,
  tokens: number,
  metadata: Readonly<Record<string, string>>,
): { question: string; metadata: Record<string, string> } {
  const input = Math.max(1, Math.floor(tokens / 5));
  const reasoning = Math.floor(tokens / 2);
  return {
    question: `${name} has a size of its own`,
    metadata: {
      sim_input_tokens: String(input),
      sim_reasoning_tokens: String(reasoning),
      sim_output_tokens: String(Math.max(1, tokens - input - reasoning)),
      sim_deltas: '2',
      ...metadata,
    },
  };
}
