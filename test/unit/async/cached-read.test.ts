import { cachedRead } from '../../../src/async/cached-read.ts';
import { withTimeout } from '../../../src/async/with-timeout.ts';
import { eventually } from '../../support/eventually.ts';

describe('a cached read', () => {
  it('one read serves all callers at the same time and within its lifetime', async () => {
    let looks = 0;
    let answer: (look: number) => void = () => {};
    const look = cachedRead(() => {
      looks += 1;
      return new Promise<number>((resolve) => {
        answer = resolve;
      });
    }, 50);
    const both = [look(), look()];
    answer(looks);
    expect(await Promise.all(both)).toEqual([1, 1]);
    expect(await look()).toBe(1);
    await eventually(async () => {
      const later = look();
      answer(looks);
      expect(await later).toBe(2);
    });
    expect(looks).toBe(2);
  });

  it('a failed read is not cached', async () => {
    let looks = 0;
    const look = cachedRead(async () => {
      looks += 1;
      if (looks === 1) throw new Error('away');
      return looks;
    }, 60_000);
    await expect(look()).rejects.toThrow('away');
    expect(await look()).toBe(2);
  });
});

test('withTimeout gives up after its time, after a failure and when its signal aborts', async () => {
  expect(await withTimeout(new Promise<string>(() => {}), 'unknown', 10)).toBe('unknown');
  expect(await withTimeout(Promise.reject(new Error('away')), 'unknown', 60_000)).toBe('unknown');
  expect(await withTimeout(Promise.resolve('seen'), 'unknown', 60_000)).toBe('seen');
  const leaving = new AbortController();
  const waiting = withTimeout(new Promise<string>(() => {}), 'unknown', 60_000, leaving.signal);
  leaving.abort();
  expect(await waiting).toBe('unknown');
  expect(await withTimeout(Promise.resolve('seen'), 'unknown', 60_000, AbortSignal.abort())).toBe('unknown');
});
