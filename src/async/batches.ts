/**
 * inBatches returns a function that collects items and works on them together: the items of one turn of the
 * event loop are one batch, or several of `most` items. An item that comes alone is worked on in the same
 * turn.
 *
 * @param work returns what became of each item, in the order of the items. When it throws, all items of the
 * batch fail with its error.
 */
export function inBatches<Item, Outcome>(
  work: (items: readonly Item[]) => Promise<readonly PromiseSettledResult<Outcome>[]>,
  most: number,
): (item: Item) => Promise<Outcome> {
  let batch: Waiting<Item, Outcome>[] = [];
  const run = (): void => {
    if (batch.length === 0) return;
    const items = batch;
    batch = [];
    work(items.map(({ item }) => item)).then(
      (outcomes) => {
        for (const [i, { resolve, reject }] of items.entries()) {
          const outcome = outcomes[i];
          if (outcome?.status === 'fulfilled') resolve(outcome.value);
          else reject(outcome?.reason ?? new Error('expected an outcome for each item'));
        }
      },
      (error: unknown) => {
        for (const { reject } of items) reject(error);
      },
    );
  };
  return (item) =>
    new Promise((resolve, reject) => {
      const count = batch.push({ item, resolve, reject });
      if (count === most) run();
      else if (count === 1) setImmediate(run);
    });
}

interface Waiting<Item, Outcome> {
  item: Item;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
}
