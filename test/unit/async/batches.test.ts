import { inBatches } from '../../../src/async/batches.ts';

/** Doubles numbers, rejects zero, and throws for a batch with a negative one. */
function createDoubling() {
  const batches: number[][] = [];
  const double = inBatches(async (items: readonly number[]) => {
    batches.push([...items]);
    if (items.some((item) => item < 0)) throw new Error('negative');
    return Promise.allSettled(
      items.map(async (item) => {
        if (item === 0) throw new Error('zero');
        return 2 * item;
      }),
    );
  }, 3);
  return { batches, double };
}

describe('work in batches', () => {
  it('the items of one turn of the event loop are one batch, and each gets its own outcome', async () => {
    const { batches, double } = createDoubling();
    expect(await Promise.all([1, 2].map(double))).toEqual([2, 4]);
    expect(await double(3)).toBe(6);
    expect(batches).toEqual([[1, 2], [3]]);
  });

  it('a full batch does not wait for the end of the turn', async () => {
    const { batches, double } = createDoubling();
    const outcomes = [1, 2, 3, 4].map(double);
    expect(batches).toEqual([[1, 2, 3]]);
    expect(await Promise.all(outcomes)).toEqual([2, 4, 6, 8]);
    expect(batches).toEqual([[1, 2, 3], [4]]);
  });

  it('an item that fails does not fail the others of its batch', async () => {
    const { double } = createDoubling();
    const outcomes = await Promise.allSettled([1, 0, 3].map(double));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('a batch that fails as a whole fails each of its items, and not the next batch', async () => {
    const { double } = createDoubling();
    const outcomes = await Promise.allSettled([1, -1].map(double));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await double(5)).toBe(10);
  });
});
