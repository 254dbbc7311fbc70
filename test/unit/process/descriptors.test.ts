import { readDescriptors, slotsFor } from '../../../src/process/descriptors.ts';

it.each([
  ['as many as are wanted, if there are descriptors for them', 2000, 1, { limit: 20_000, open: 30 }, 2000],
  ['as many as are wanted, if the limit is unknown', 2000, 1, undefined, 2000],
  ['no more than are left beside what is open and a reserve', 2000, 1, { limit: 128, open: 30 }, 64],
  ['no more than are left beside an eighth of a large limit', 2000, 1, { limit: 1024, open: 30 }, 866],
  ['one of each model, however few are left', 2000, 3, { limit: 32, open: 30 }, 3],
])('a worker holds %s', (_, wanted, models, descriptors, slots) => {
  expect(slotsFor(wanted, models, descriptors)).toBe(slots);
});

it('the kernel says how many descriptors are open', () => {
  const { open, limit } = readDescriptors() ?? { open: 1, limit: 2 };
  expect(open).toBeGreaterThan(0);
  expect(limit).toBeGreaterThan(open);
});
