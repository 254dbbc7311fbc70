import { startsOff } from '../../../chaos/fairness/fairness.ts';
import { createRandom } from '../../../chaos/fleet/random.ts';
import { percentile } from '../../../chaos/fleet/timing.ts';
import { randomTokens, requestOfSize } from '../../../chaos/quota/job-sizes.ts';
import { parseJobRequest } from '../../../src/job/request.ts';

const RANGE = { median: 245, least: 20, most: 3000 };

test('randomTokens draws sizes around the median and within the range, the same for the same seed', () => {
  const sizesOf = (seed: number): number[] => {
    const random = createRandom(seed);
    return Array.from({ length: 2000 }, () => randomTokens(random, RANGE));
  };
  const sizes = sizesOf(7);
  expect(sizesOf(7)).toEqual(sizes);
  expect(percentile(sizes, 0.5)).toBeGreaterThan(RANGE.median * 0.9);
  expect(percentile(sizes, 0.5)).toBeLessThan(RANGE.median * 1.1);
  expect(Math.min(...sizes)).toBeLessThan(50);
  expect(Math.max(...sizes)).toBeGreaterThan(2000);
  expect(sizes.every((size) => size >= RANGE.least && size <= RANGE.most)).toBe(true);
});

test('requestOfSize makes a request that uses exactly the given tokens and that a producer accepts', () => {
  const request = requestOfSize('job-0001', 1234, { sim_think_ms: '5' });
  expect(parseJobRequest(request)).toEqual(request);
  const { metadata } = request;
  const parts = ['sim_input_tokens', 'sim_reasoning_tokens', 'sim_output_tokens'];
  expect(parts.reduce((sum, part) => sum + Number(metadata[part]), 0)).toBe(1234);
});

describe('startsOff', () => {
  const came = { before: 100, after: 101 };
  it('is 0 for every second start at weights 1:1', () => {
    expect([100, 102, 104].map((place, turn) => startsOff({ place, turn, weight: 1, ...came }))).toEqual([
      0, 0, 0,
    ]);
  });
  it('is 0 for three of four starts at weights 1:3', () => {
    expect(startsOff({ place: 103, turn: 3, weight: 3, ...came })).toBeCloseTo(1);
    expect(startsOff({ place: 104, turn: 3, weight: 3, ...came })).toBe(0);
  });
  it('is large for a start behind the backlog of the others, and for a start ahead of its turn', () => {
    expect(startsOff({ place: 10_000, turn: 0, weight: 1, ...came })).toBe(9897);
    expect(startsOff({ place: 119, turn: 19, weight: 1, ...came })).toBe(19);
  });
});
