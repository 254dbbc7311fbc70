import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProgram } from '../../../cli/program.ts';
import { FAILURE_CODES } from '../../../src/errors/failure.ts';
import { PROBLEM_CODES } from '../../../src/errors/problem.ts';
import { MODEL_STATUSES } from '../../../src/models/view.ts';
import { PARSING_ONLY } from '../../support/parsing-only.ts';

const ROOT = join(__dirname, '../../..');
const PAGE = readFileSync(join(ROOT, 'docs/operating/SYMPTOMS.md'), 'utf8');

/** Returns the codes at the beginning of the rows of a section. */
function codesIn(section: string): string[] {
  const text = PAGE.split('\n## ').find((part) => part.startsWith(section)) ?? '';
  return [...text.matchAll(/^\| `([a-z_]+)`/gm)].map(([, code = '']) => code);
}

describe('docs/operating/SYMPTOMS.md', () => {
  it('has only commands that o3q takes', () => {
    const program = createProgram(PARSING_ONLY, '0');
    const written = [...PAGE.matchAll(/o3q ([a-z]+)((?: [^`\n]+)?)/g)].filter(([, name]) => name !== 'talks');
    expect(written.length).toBeGreaterThan(10);
    for (const [whole, name, rest = ''] of written) {
      const command = program.commands.find((candidate) => candidate.name() === name);
      const args = rest.split(' ').filter((word) => word !== '');
      const { operands, unknown } = command?.parseOptions(args) ?? { operands: [], unknown: ['the command'] };
      expect({ whole, unknown }).toEqual({ whole, unknown: [] });
      const taken = command?.registeredArguments ?? [];
      expect(operands.length <= taken.length || taken.some(({ variadic }) => variadic)).toBe(true);
    }
  });

  it('names only statuses that a model has', () => {
    const statuses = codesIn('Nothing moves');
    expect(statuses).toContain('no_worker');
    expect(statuses.filter((status) => !MODEL_STATUSES.some((known) => known === status))).toEqual([]);
  });

  it('names only codes of failures that exist', () => {
    const codes = codesIn('Everything fails');
    expect(codes).toContain('timeout');
    expect(codes.filter((code) => !Object.hasOwn(FAILURE_CODES, code))).toEqual([]);
  });

  it('names only codes of refusals that exist', () => {
    const text = PAGE.split('\n## ').find((part) => part.startsWith('A client gets errors')) ?? '';
    const codes = [...text.matchAll(/^\| \d+ `([a-z_]+)`/gm)].map(([, code = '']) => code);
    expect(codes).toContain('redis_unavailable');
    expect(codes.filter((code) => !PROBLEM_CODES.some((known) => known === code))).toEqual([]);
  });
});
