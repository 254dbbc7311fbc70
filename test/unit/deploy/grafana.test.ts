import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { describeWithPromtool } from '../../support/process/promtool.ts';

const ROOT = join(__dirname, '../../..');
/** Inside the project, so that the compiler finds the types of Grafana. */
const SCRATCH = join(ROOT, '.cache/dashboard');
const TEXT = readFileSync(join(ROOT, 'deploy/grafana/o3q.json'), 'utf8');

/** What this test reads of the dashboard. */
const { panels } = z
  .object({
    panels: z.array(
      z.object({
        id: z.number(),
        type: z.string(),
        title: z.string(),
        description: z.string().optional(),
        gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
        targets: z.array(z.object({ expr: z.string() })).default([]),
        fieldConfig: z.object({ defaults: z.object({ unit: z.string() }) }).optional(),
      }),
    ),
  })
  .parse(JSON.parse(TEXT));

/** compiled compiles the text of a dashboard as a literal. */
function compiled(text: string): { status: number | null; stdout: string } {
  const file = join(SCRATCH, 'dashboard.ts');
  const type = "import type { DashboardFile } from '../../test/unit/deploy/dashboard-file.ts';";
  writeFileSync(file, `${type}\nexport const dashboard: DashboardFile = ${text};\n`);
  const options = '--ignoreConfig --noEmit --strict --skipLibCheck --types node --module nodenext';
  const { status, stdout } = spawnSync(
    join(ROOT, 'node_modules/.bin/tsc'),
    [...options.split(' '), '--allowImportingTsExtensions', file],
    { encoding: 'utf8' },
  );
  return { status, stdout };
}

beforeAll(() => mkdirSync(SCRATCH, { recursive: true }));

describe('the dashboard', () => {
  it('has the types of Grafana', () => {
    expect(compiled(TEXT)).toEqual({ status: 0, stdout: '' });
  });

  it('would not pass with a misspelt option', () => {
    const { stdout } = compiled(TEXT.replace('"fillOpacity"', '"filOpacity"'));
    expect(stdout).toContain('\'"filOpacity"\' does not exist');
  });

  it('has panels beside and below each other, each with a unit and a sentence', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const places = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)}, ${y + Math.floor(i / w)}`),
    );
    expect(places.length).toBe(new Set(places).size);
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
    const silent = panels.filter(
      ({ type, description, fieldConfig }) =>
        type !== 'row' && (description === undefined || fieldConfig === undefined),
    );
    expect(silent).toEqual([]);
  });
});

describeWithPromtool('the expressions of the dashboard', (promtool) => {
  it('are valid', () => {
    const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(expressions.length).toBeGreaterThan(40);
    const rules = expressions.map((expr, i) => ({
      record: `dashboard:${i}`,
      expr: expr.replaceAll(/\$__(rate_interval|range)/g, '5m').replaceAll('$model', 'x'),
    }));
    const file = join(SCRATCH, 'rules.yml');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    const { stdout, stderr, status } = promtool(['check', 'rules', '--lint=all', '--lint-fatal', file]);
    expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
  });
});
