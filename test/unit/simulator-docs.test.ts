import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAULT_NAMES, PARAMETER_NAMES } from '../../simulator/faults.ts';

const PAGE = readFileSync(join(__dirname, '../../docs/SIMULATOR.md'), 'utf8');

/** The names in the first column of the table under a heading. */
function documented(heading: string): string[] {
  const section = PAGE.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1] ?? '');
}

describe('docs/SIMULATOR.md', () => {
  it('lists every fault, and no other', () => {
    expect(documented('Faults').sort()).toEqual([...FAULT_NAMES].sort());
  });

  it('lists every parameter, and no other', () => {
    expect(documented('Parameters').sort()).toEqual([...PARAMETER_NAMES].sort());
  });
});
