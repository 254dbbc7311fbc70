import {
  createActiveAttempt,
  createActiveAttempts,
  Interruption,
} from '../../../worker/attempt/active-attempt.ts';

describe('ActiveAttempt', () => {
  it('keeps the first reason of several interruptions', () => {
    const attempt = createActiveAttempt();
    attempt.interrupt('timeout');
    attempt.interrupt('cancelled');
    expect(attempt.signal.reason).toMatchObject({ reason: 'timeout' });
    expect(() => attempt.assertMayCreate()).toThrow(Interruption);
  });

  it('goes on after requestStop until another worker could adopt its response', () => {
    const attempt = createActiveAttempt();
    attempt.assertMayCreate();
    attempt.requestStop();
    expect(attempt.signal.aborted).toBe(false);
    attempt.markAdoptable();
    expect(attempt.signal.reason).toMatchObject({ reason: 'shutdown' });
  });

  it('stops at requestStop when its response can be adopted', () => {
    const attempt = createActiveAttempt();
    attempt.markAdoptable();
    expect(attempt.signal.aborted).toBe(false);
    attempt.requestStop();
    expect(attempt.signal.aborted).toBe(true);
  });

  it('refuses to create after requestStop', () => {
    const attempt = createActiveAttempt();
    attempt.requestStop();
    expect(() => attempt.assertMayCreate()).toThrow('shutdown');
  });
});

describe('ActiveAttempts', () => {
  const untilInterrupted = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(String(signal.reason)));
    });

  it('knows attempts while they run, and interrupts them by job id', async () => {
    const attempts = createActiveAttempts();
    const one = attempts.run('1', ({ signal }) => untilInterrupted(signal));
    const two = attempts.run('2', ({ signal }) => untilInterrupted(signal));
    expect(attempts.ids()).toEqual(['1', '2']);
    attempts.interrupt('1', 'cancelled');
    attempts.interrupt('unknown', 'cancelled');
    expect(await one).toContain('cancelled');
    expect(attempts.ids()).toEqual(['2']);
    attempts.interruptAll('shutdown');
    expect(await two).toContain('shutdown');
    expect(attempts.ids()).toEqual([]);
  });

  it('forgets an attempt that throws', async () => {
    const attempts = createActiveAttempts();
    await expect(attempts.run('1', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(attempts.ids()).toEqual([]);
  });

  it('stops attempts that begin after requestStop', async () => {
    const attempts = createActiveAttempts();
    attempts.requestStop();
    await attempts.run('1', async (attempt) => {
      expect(() => attempt.assertMayCreate()).toThrow('shutdown');
    });
  });
});
