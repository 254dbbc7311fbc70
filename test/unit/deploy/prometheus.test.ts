import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { describeWithPromtool } from '../../support/process/promtool.ts';

const FOLDER = 'deploy/prometheus';

/** What this test reads of alerts.yml. */
const RULES = z.object({
  groups: z.tuple([
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
          annotations: z.strictObject({
            summary: z.string(),
            description: z.string().optional(),
            runbook: z.string().startsWith('docs/operating/SYMPTOMS.md#'),
          }),
        }),
      ),
    }),
  ]),
});
/** What it reads of alerts.test.yml. */
const TESTS = z.object({
  tests: z.array(
    z.object({
      alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) })),
    }),
  ),
});

const read = (file: string): unknown => parse(readFileSync(`${FOLDER}/${file}`, 'utf8'));

describe('the alerts', () => {
  it('are those of docs/operating/MONITORING.md, with their severity', () => {
    const page = readFileSync('docs/operating/MONITORING.md', 'utf8');
    const listed = [...page.matchAll(/^\| (page|ticket) \| (.*) \|$/gm)].flatMap(([, severity, names = '']) =>
      names.split(', ').map((name) => ({ severity, alert: name.replaceAll('`', '') })),
    );
    const sorted = (all: { severity: unknown; alert: string }[]) =>
      all.toSorted((a, b) => (a.alert < b.alert ? -1 : 1));
    const { rules } = RULES.parse(read('alerts.yml')).groups[0];
    expect(sorted(listed)).toEqual(
      sorted(rules.map(({ alert, labels }) => ({ severity: labels.severity, alert }))),
    );
  });

  it('each fire in a test and are silent in another', () => {
    const { rules } = RULES.parse(read('alerts.yml')).groups[0];
    const tests = TESTS.parse(read('alerts.test.yml')).tests.flatMap((test) => test.alert_rule_test);
    const tried = rules.map(({ alert }) => {
      const own = tests.filter(({ alertname }) => alertname === alert);
      const fires = own.filter(({ exp_alerts }) => exp_alerts.length > 0).length;
      return { alert, fires: fires > 0, isSilent: own.length > fires };
    });
    expect(tried.length).toBeGreaterThan(15);
    expect(tried).toEqual(rules.map(({ alert }) => ({ alert, fires: true, isSilent: true })));
  });
});

describeWithPromtool('the files of Prometheus', (promtool) => {
  it.each([
    ['a configuration', ['check', 'config', '--syntax-only', `${FOLDER}/prometheus.yml`]],
    ['rules', ['check', 'rules', '--lint=all', '--lint-fatal', `${FOLDER}/alerts.yml`]],
    ['rules that pass their tests', ['test', 'rules', `${FOLDER}/alerts.test.yml`]],
  ])('have %s', (_what, args) => {
    const { status, stdout, stderr } = promtool(args);
    expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
  });
});
