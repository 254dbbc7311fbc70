import Table from 'cli-table3';
import type { Report, Requirement } from '../scenario.ts';

/** What was required, what was measured, and every offender by name. */
export function reportText({ requirements, offences, logs }: Report): string {
  const table = new Table({
    head: ['', 'required', 'measured', ''],
    style: { head: [], border: [] },
    colWidths: [34, 26, 42, 8],
    wordWrap: true,
  });
  for (const requirement of requirements) {
    const { what, required, measured } = requirement;
    table.push([what, required, measured, verdict(requirement)]);
  }
  const lines = offences.map(
    ({ rule, about, expected, seen }) => `FAILED ${rule}\n  ${about}: expected ${expected}; saw ${seen}`,
  );
  const where = offences.length === 0 ? [] : [`Look for the ids in ${logs}/*.log`];
  return [table.toString(), ...lines, ...where].join('\n');
}

function verdict({ met }: Requirement): string {
  if (met === undefined) return '';
  return met ? 'ok' : 'FAILED';
}
