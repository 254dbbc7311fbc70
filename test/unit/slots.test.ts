import { createSlots, type SlotHolder } from '../../worker/slots.ts';

/** Takes jobs as BullMQ does: up to its limit, unless it is held up. */
interface Taker extends SlotHolder {
  held: number;
  open: boolean;
  backlog: number;
}

describe('slots', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  const errors: Error[] = [];
  const start = (limit: number, backlogs: number[]) => {
    const slots = createSlots(limit, (error) => errors.push(error));
    const takers = backlogs.map((backlog): Taker => {
      const taker: Taker = {
        concurrency: 1,
        held: 0,
        open: true,
        backlog,
        pause: async () => {
          taker.open = false;
        },
        resume: async () => {
          taker.open = true;
        },
      };
      return taker;
    });
    for (const taker of takers) slots.join(taker);
    const held = (): number => takers.reduce((sum, taker) => sum + taker.held, 0);
    const run = (): void => {
      for (const taker of takers) {
        while (taker.open && taker.backlog > 0 && taker.held < taker.concurrency) {
          if (!slots.take(taker)) continue;
          taker.held += 1;
          taker.backlog -= 1;
          expect(held()).toBeLessThanOrEqual(limit);
        }
      }
    };
    const end = (taker: Taker | undefined): void => {
      if (taker === undefined || taker.held === 0) throw new Error('expected a job to end');
      taker.held -= 1;
      slots.free(taker);
      run();
    };
    const pass = async (milliseconds: number): Promise<void> => {
      for (let left = milliseconds; left > 0; left -= 100) {
        await jest.advanceTimersByTimeAsync(100);
        run();
      }
    };
    run();
    return { takers, held, end, pass, heldBy: () => takers.map((taker) => taker.held), close: slots.close };
  };

  it('gives all of the limit to the only one who wants it', async () => {
    const { pass, heldBy, close } = start(10, [100, 0, 0]);
    await pass(200);
    expect(heldBy()).toEqual([10, 0, 0]);
    close();
  });

  it('gives slots back to a latecomer, one by one as jobs end, up to its even share', async () => {
    const { takers, pass, end, heldBy, close } = start(10, [100, 0]);
    await pass(200);
    const [first, late] = takers;
    if (late === undefined) throw new Error('expected a latecomer');
    late.backlog = 100;
    await pass(100);
    expect(heldBy()).toEqual([10, 0]);
    const seen = [];
    for (let i = 0; i < 7; i += 1) {
      end(first);
      await pass(100);
      seen.push(heldBy());
    }
    expect(seen).toEqual([
      [9, 1],
      [8, 2],
      [7, 3],
      [6, 4],
      [5, 5],
      [5, 5],
      [5, 5],
    ]);
    close();
  });

  it('does not keep a slot for one whose job another process has taken', async () => {
    const { takers, pass, end, heldBy, close } = start(2, [10, 0]);
    await pass(200);
    const [first, second] = takers;
    if (second === undefined) throw new Error('expected a second');
    second.backlog = 1;
    await pass(100);
    second.backlog = 0;
    end(first);
    expect(heldBy()).toEqual([1, 0]);
    await pass(2500);
    expect(heldBy()).toEqual([2, 0]);
    close();
  });

  it('takes turns when the limit is smaller than the number of models', async () => {
    const { takers, pass, end, close } = start(1, [5, 5, 5]);
    const order: number[] = [];
    for (let i = 0; i < 15; i += 1) {
      await pass(100);
      const index = takers.findIndex((taker) => taker.held > 0);
      order.push(index);
      end(takers[index]);
    }
    expect([...order.slice(0, 3)].sort()).toEqual([0, 1, 2]);
    expect([...order].sort()).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    close();
  });

  it('never holds more than the limit, whatever ends when', async () => {
    const { takers, held, pass, end, close } = start(7, [40, 40, 40]);
    let seed = 1;
    const random = (): number => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    for (let i = 0; i < 2000 && held() + takers.reduce((sum, { backlog }) => sum + backlog, 0) > 0; i += 1) {
      const busy = takers.filter((taker) => taker.held > 0);
      if (busy.length > 0 && random() < 0.8) end(busy[Math.floor(random() * busy.length)]);
      else await pass(100);
    }
    expect(takers.map(({ backlog, held: left }) => [backlog, left])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(errors).toEqual([]);
    close();
  });
});
