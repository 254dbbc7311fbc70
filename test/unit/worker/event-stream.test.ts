import { createYieldWhenBusy } from '../../../worker/upstream/event-stream.ts';

describe('yieldWhenBusy', () => {
  it('lets a timer fire between readers that never wait', async () => {
    const yieldWhenBusy = createYieldWhenBusy(5);
    let rang = false;
    const timer = setTimeout(() => {
      rang = true;
    }, 1);
    let read = 0;
    const reader = async (): Promise<void> => {
      while (!rang && read < 5_000_000) {
        read += 1;
        await (yieldWhenBusy() ?? Promise.resolve());
      }
    };
    await Promise.all([reader(), reader(), reader()]);
    clearTimeout(timer);
    expect(rang).toBe(true);
  });

  it('does not pause a process that is not busy', () => {
    const yieldWhenBusy = createYieldWhenBusy(60_000);
    expect(yieldWhenBusy()).toBeUndefined();
  });
});
