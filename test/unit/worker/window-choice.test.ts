import { defaultModels } from '../../../src/config/file.ts';
import { marginsFor } from '../../../src/quota/window-choice.ts';
import { createWindowChoice } from '../../../worker/windows/choice.ts';

const HOUR = 3_600_000;
const [known] = Object.values(defaultModels().models);
if (known === undefined) throw new Error('expected a model');
const o3 = { ...known, completionWindows: { '2h': 0.3, '8h': 0.4 } };
const never = { lateMs: 0, answers: 0 };

describe('the choice of a window', () => {
  const choice = createWindowChoice(o3, 'o3', () => 0);

  it.each([
    ['undefined', {}, undefined],
    ['undefined with too little time', { by: 2 * HOUR }, undefined],
    ['the longest that fits', { by: 9 * HOUR }, { name: '8h', isCallers: false }],
    ['what the request names, at any time', { by: 0, window: '2h' }, { name: '2h', isCallers: true }],
    ['undefined for another tier', { by: 12 * HOUR, tier: 'flex' }, undefined],
  ])('is %s', (_, need, expected) => {
    expect(choice.choose(need)).toEqual(expected);
  });

  it('is none where the configuration offers none, or background mode is never used', () => {
    const need = { by: 12 * HOUR };
    expect(createWindowChoice({ ...o3, completionWindows: {} }, 'o3', () => 0).choose(need)).toBeUndefined();
    expect(createWindowChoice({ ...o3, background: 'never' }, 'o3', () => 0).choose(need)).toBeUndefined();
  });

  it('takes a shorter window once answers have come late', () => {
    const own = createWindowChoice(o3, 'o3', () => 0);
    own.learn({ '2h': never, '8h': { lateMs: 2 * HOUR, answers: 1 } });
    expect(own.choose({ by: 10 * HOUR })?.name).toBe('2h');
    expect(own.choose({ by: 11 * HOUR })?.name).toBe('8h');
  });
});

describe('the margin of the 8-hour window', () => {
  it.each([
    ['an hour at first', 0, 19, 1],
    ['a quarter of an hour once 20 answers came in time', 0, 20, 0.25],
    ['one and a half times what the latest was late', HOUR, 20, 1.5],
    ['four hours at most', 9 * HOUR, 20, 4],
  ])('is %s', (_, lateMs, answers, hours) => {
    expect(marginsFor({ '2h': never, '8h': { lateMs, answers } })['8h']).toBe(hours * HOUR);
  });
});
