import Table from 'cli-table3';

/** Violation says that an invariant was broken. */
export interface Violation {
  rule: string;
  /** The job, or the other thing, that broke the rule. */
  about: string;
  expected: string;
  seen: string;
}

/** Requirement is one measured value, with what was promised. */
export interface Requirement {
  what: string;
  required: string;
  measured: string;
  /** Whether the value is as promised; undefined: nothing was promised, and the value only informs. */
  met: boolean | undefined;
}

/** Report is the outcome of a scenario. */
export interface Report {
  requirements: Requirement[];
  violations: Violation[];
  /** The folder with the logs of all processes. */
  logs: string;
}

/** isClean says whether every requirement was met and no invariant was broken. */
export function isClean({ requirements, violations }: Report): boolean {
  return violations.length === 0 && requirements.every(({ met }) => met !== false);
}

/** joined makes one report of several. */
export function joined(reports: readonly Report[]): Report {
  return {
    requirements: reports.flatMap(({ requirements }) => requirements),
    violations: reports.flatMap(({ violations }) => violations),
    logs: reports.map(({ logs }) => logs).join(' '),
  };
}

/** figure is a measured value for which nothing was promised. */
export function figure(what: string, measured: string | number): Requirement {
  return { what, required: '', measured: String(measured), met: undefined };
}

/** exactly is a count that must have one value. */
export function exactly(what: string, required: number, measured: number | null): Requirement {
  return { what, required: `${required}`, measured: `${measured}`, met: measured === required };
}

/** percent writes 0.934 as `93.4 %`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** seconds writes 1234 milliseconds as `1.2 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** reportText shows what was required, what was measured, and every violation by name. */
export function reportText({ requirements, violations, logs }: Report): string {
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
  const lines = violations.map(
    ({ rule, about, expected, seen }) => `FAILED ${rule}\n  ${about}: expected ${expected}; saw ${seen}`,
  );
  const hint = violations.length === 0 ? [] : [`Search for the ids in ${logs}/*.log`];
  return [table.toString(), ...lines, ...hint].join('\n');
}

function verdict({ met }: Requirement): string {
  if (met === undefined) return '';
  return met ? 'ok' : 'FAILED';
}
