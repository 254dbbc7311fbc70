import { createSharedSlots } from '../../../src/async/shared-slots.ts';

/** Slots, of which each call says whether it got one before anything else happens. */
function opened(slots: number, models: string[]) {
  const shared = createSharedSlots(slots, models);
  const got: string[] = [];
  const releases = new Map<string, (() => void)[]>();
  const take = async (
    model: string,
    tenant: string,
    signal = new AbortController().signal,
  ): Promise<void> => {
    void shared.acquire({ model, tenant }, signal).then((release) => {
      if (release === undefined) return;
      const name = `${model}/${tenant}`;
      got.push(name);
      releases.set(name, [...(releases.get(name) ?? []), release]);
    });
    // Two turns of promises: the one of the slots, and the one above.
    await Promise.resolve();
    await Promise.resolve();
  };
  const release = async (name: string): Promise<void> => {
    releases.get(name)?.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
  };
  return { got, take, release };
}

describe('the slots of creates', () => {
  it('are all for one model and no tenant, first come first served', async () => {
    const { got, take, release } = opened(8, ['o3']);
    for (let i = 0; i < 10; i += 1) await take('o3', '');
    expect(got).toHaveLength(8);
    await release('o3/');
    expect(got).toHaveLength(9);
  });

  it('leave two to another model when one takes all that it may', async () => {
    const { got, take } = opened(8, ['slow', 'quick']);
    for (let i = 0; i < 20; i += 1) await take('slow', '');
    expect(got).toHaveLength(6);
    for (let i = 0; i < 3; i += 1) await take('quick', '');
    expect(got.slice(6)).toEqual(['quick/', 'quick/']);
  });

  it('are never more than there are, unless there are more models', async () => {
    const models = ['a', 'b', 'c'];
    const few = opened(8, models);
    for (let i = 0; i < 9; i += 1) for (const model of models) await few.take(model, '');
    expect(few.got).toHaveLength(8);
    const many = Array.from({ length: 12 }, (_, i) => `m${i}`);
    const each = opened(8, many);
    for (const model of [...many, ...many]) await each.take(model, '');
    expect(each.got.sort()).toEqual(many.map((model) => `${model}/`).sort());
  });

  it('leave one to a third tenant when two take all that they may', async () => {
    const { got, take, release } = opened(8, ['o3']);
    for (let i = 0; i < 20; i += 1) await take('o3', 'alice');
    expect(got).toHaveLength(6);
    for (let i = 0; i < 20; i += 1) await take('o3', 'bob');
    expect(got.slice(6)).toEqual(['o3/bob']);
    await take('o3', 'carol');
    expect(got.slice(7)).toEqual(['o3/carol']);
    // Bob waits behind alice's fourteen others, and is next as soon as two slots are left.
    for (let i = 0; i < 3; i += 1) await release('o3/alice');
    expect(got.slice(8)).toEqual(['o3/bob']);
  });

  it('are for one tenant after the other when a model has hardly any', async () => {
    const { got, take, release } = opened(2, ['o3']);
    for (let i = 0; i < 3; i += 1) await take('o3', 'alice');
    await take('o3', 'bob');
    expect(got).toEqual(['o3/alice', 'o3/bob']);
    await release('o3/bob');
    await release('o3/alice');
    expect(got.slice(2)).toEqual(['o3/alice']);
  });

  it('are not given to a job that no longer waits, and are released once', async () => {
    const { got, take, release } = opened(1, ['o3']);
    const stopped = new AbortController();
    await take('o3', '');
    await take('o3', 'gone', stopped.signal);
    stopped.abort();
    await take('o3', '');
    await release('o3/');
    expect(got).toEqual(['o3/', 'o3/']);
  });
});
