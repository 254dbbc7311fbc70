import { cachedRead } from '../../../src/async/cached-read.ts';
import { withTimeout } from '../../../src/async/with-timeout.ts';
import { eventually } from '../../support/eventually.ts';

describe('a look that many share', () => {
  it('is one at a time, and serves those who come within its time', async () => {
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

  it('that failed is not what the next one is told', async () => {
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

test('who waits for a look does not wait for ever, and hears of no failure', async () => {
  expect(await withTimeout(new Promise<string>(() => {}), 'unknown', 10)).toBe('unknown');
  expect(await withTimeout(Promise.reject(new Error('away')), 'unknown', 60_000)).toBe('unknown');
  expect(await withTimeout(Promise.resolve('seen'), 'unknown', 60_000)).toBe('seen');
});
