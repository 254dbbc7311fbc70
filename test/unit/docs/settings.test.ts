import { readFileSync } from 'node:fs';
import { EFFECTS } from '../../../src/config/live/effects.ts';

test('the table of changes without a restart has every setting, with when a change counts', () => {
  const rows = [
    ...readFileSync('docs/operating/KEYS.md', 'utf8').matchAll(/^\| `([\w.*]+)` \| ([a-z ]+) \|/gm),
  ];
  expect(Object.fromEntries(rows.map(([, setting, effect]) => [setting, effect]))).toEqual(EFFECTS);
});
