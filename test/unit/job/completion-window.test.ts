import { windowFor } from '../../../src/job/completion-window.ts';

const hours = (count: number): number => count * 3_600_000;
const offered = { '2h': 0.3, '8h': 0.4 };

describe('the window for the time that is left', () => {
  test.each([
    [12, '8h'],
    [9, '8h'],
    [8.9, '2h'],
    [2.5, '2h'],
    [2.4, 'soonest'],
    [0, 'soonest'],
    [-3, 'soonest'],
    [Number.NaN, 'soonest'],
  ])('with %s hours left it is %s', (left, window) => {
    expect(windowFor({ leftMs: hours(left), offered })).toBe(window);
  });

  test('a window that the model does not offer is passed over', () => {
    expect(windowFor({ leftMs: hours(12), offered: { '2h': 0.3 } })).toBe('2h');
    expect(windowFor({ leftMs: hours(12), offered: {} })).toBe('soonest');
  });

  test('a margin that was learned takes the place of the default one', () => {
    const marginMs = { '2h': hours(0.1), '8h': hours(3) };
    expect(windowFor({ leftMs: hours(10), offered, marginMs })).toBe('2h');
    expect(windowFor({ leftMs: hours(2.1), offered, marginMs })).toBe('2h');
  });
});
