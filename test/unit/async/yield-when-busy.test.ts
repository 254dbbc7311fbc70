import { createYieldWhenBusy } from '../../../worker/upstream/yield-when-busy.ts';

describe('breathing', () => {
  it('lets a timer through between readers that never wait for anything', async () => {
    const breathe = createYieldWhenBusy(5);
    let rang = false;
    const timer = setTimeout(() => {
      rang = true;
    }, 1);
    let read = 0;
    const reader = async (): Promise<void> => {
      while (!rang && read < 5_000_000) {
        read += 1;
        await (breathe() ?? Promise.resolve());
      }
    };
    await Promise.all([reader(), reader(), reader()]);
    clearTimeout(timer);
    expect(rang).toBe(true);
  });

  it('costs nothing while there is little to do', () => {
    const breathe = createYieldWhenBusy(60_000);
    expect(breathe()).toBeUndefined();
  });
});
