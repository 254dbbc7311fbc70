import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAULT_NAMES, PARAMETER_NAMES } from '../../../simulator/faults/faults.ts';
import { OUTAGE_FIELDS } from '../../../simulator/faults/outage.ts';
import { createLedger } from '../../../simulator/ledger/ledger.ts';
import { OPTION_NAMES } from '../../../simulator/options.ts';

const PAGE = readFileSync(join(__dirname, '../../../docs/SIMULATOR.md'), 'utf8');

/** All names in the first column of the table under a heading. */
function documented(heading: string): string[] {
  const section = PAGE.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const cells = [...section.matchAll(/^\| (`[^|]+) \|/gm)].map((match) => match[1] ?? '');
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''));
}

describe('docs/SIMULATOR.md', () => {
  it('lists every fault, and no other', () => {
    expect(documented('Faults').sort()).toEqual([...FAULT_NAMES].sort());
  });

  it('lists every parameter, and no other', () => {
    expect(documented('Parameters').sort()).toEqual([...PARAMETER_NAMES].sort());
  });

  it('lists every option, and no other', () => {
    expect(documented('Options').sort()).toEqual([...OPTION_NAMES].sort());
  });

  it('lists every field of an outage, and no other', () => {
    expect(documented('Outages').sort()).toEqual([...OUTAGE_FIELDS].sort());
  });

  it('names every total of the ledger, in its order', () => {
    const sentence = /The totals are `([^`]+)`/.exec(PAGE)?.[1] ?? '';
    expect(sentence.split(/,\s+/)).toEqual(Object.keys(createLedger(Date.now).totals()));
  });
});
