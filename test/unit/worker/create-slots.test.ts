import { createCreateSlots } from '../../../worker/upstream/create-slots.ts';

const never = new AbortController().signal;

describe('the slots for creates', () => {
  it('are given to so many, and then in the order of asking', async () => {
    const slots = createCreateSlots(2);
    const first = await slots.take(never);
    await slots.take(never);
    const order: string[] = [];
    const third = slots.take(never).then((giveBack) => {
      order.push('third');
      return giveBack;
    });
    const fourth = slots.take(never).then(() => order.push('fourth'));
    await Promise.resolve();
    expect(order).toEqual([]);
    first?.();
    (await third)?.();
    await fourth;
    expect(order).toEqual(['third', 'fourth']);
  });

  it('are not waited for past the end of the signal, and none is lost by it', async () => {
    const slots = createCreateSlots(1);
    const giveBack = await slots.take(never);
    const leaving = new AbortController();
    const waiting = slots.take(leaving.signal);
    leaving.abort();
    expect(await waiting).toBeUndefined();
    expect(await slots.take(AbortSignal.abort())).toBeUndefined();
    giveBack?.();
    expect(await slots.take(never)).toBeInstanceOf(Function);
  });
});
