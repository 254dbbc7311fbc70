import { createActiveAttempt, Interruption } from '../../../worker/attempt/active-attempt.ts';
import { createActiveAttempts } from '../../../worker/attempt/active-attempts.ts';

describe('an active attempt', () => {
  it('is interrupted once, for the first reason', () => {
    const attempt = createActiveAttempt();
    attempt.interrupt('timeout');
    attempt.interrupt('cancelled');
    expect(attempt.signal.reason).toMatchObject({ reason: 'timeout' });
    expect(() => attempt.beforeBuying()).toThrow(Interruption);
  });

  it('goes on when the worker leaves, until somebody else could go on with it', () => {
    const attempt = createActiveAttempt();
    attempt.beforeBuying();
    attempt.leave();
    expect(attempt.signal.aborted).toBe(false);
    attempt.canBeAdopted();
    expect(attempt.signal.reason).toMatchObject({ reason: 'shutdown' });
  });

  it('stops at once when it can be adopted already', () => {
    const attempt = createActiveAttempt();
    attempt.canBeAdopted();
    expect(attempt.signal.aborted).toBe(false);
    attempt.leave();
    expect(attempt.signal.aborted).toBe(true);
  });

  it('buys nothing once the worker leaves', () => {
    const attempt = createActiveAttempt();
    attempt.leave();
    expect(() => attempt.beforeBuying()).toThrow('shutdown');
  });
});

describe('the active attempts of a worker', () => {
  const untilInterrupted = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(String(signal.reason)));
    });

  it('are known while they run, and interrupted by their job', async () => {
    const attempts = createActiveAttempts();
    const one = attempts.hold('1', ({ signal }) => untilInterrupted(signal));
    const two = attempts.hold('2', ({ signal }) => untilInterrupted(signal));
    expect(attempts.ids()).toEqual(['1', '2']);
    attempts.interrupt('1', 'cancelled');
    attempts.interrupt('nobody', 'cancelled');
    expect(await one).toContain('cancelled');
    expect(attempts.ids()).toEqual(['2']);
    attempts.interruptAll('shutdown');
    expect(await two).toContain('shutdown');
    expect(attempts.ids()).toEqual([]);
  });

  it('are forgotten when they throw', async () => {
    const attempts = createActiveAttempts();
    await expect(attempts.hold('1', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(attempts.ids()).toEqual([]);
  });

  it('leave, those that begin later included', async () => {
    const attempts = createActiveAttempts();
    attempts.leave();
    await attempts.hold('1', async (attempt) => {
      expect(() => attempt.beforeBuying()).toThrow('shutdown');
    });
  });
});
