import { readFileSync } from 'node:fs';

const DOCUMENT = 'docs/operating/METRICS.md';

/**
 * metricRows returns the names in the tables of docs/operating/METRICS.md, each with its labels.
 *
 * @param process only those that this process has: `W` for a worker, `P` for a producer. Default: all.
 */
export function metricRows(process = ''): Record<string, string[]> {
  const rows = readFileSync(DOCUMENT, 'utf8').matchAll(/^\| `(o3q_\w+)` \| ([^|]*)\| ([^|]*)\|/gm);
  const had = [...rows].filter(([, , , of = '']) => of.includes(process));
  return Object.fromEntries(
    had.map(([, name = '', labels = '']) => [
      name,
      [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label ?? ''),
    ]),
  );
}

/** metricsIn returns the names of our metrics in a scrape, each with its labels, without those of a histogram. */
export function metricsIn(scrape: string): Record<string, string[]> {
  const names = [...scrape.matchAll(/^# TYPE (o3q_\w+) /gm)].map(([, name = '']) => name);
  return Object.fromEntries(
    names.map((name) => {
      const [, labels = ''] = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, 'm').exec(scrape) ?? [];
      return [name, [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label ?? '')];
    }),
  );
}
