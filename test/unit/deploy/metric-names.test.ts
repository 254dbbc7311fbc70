import { readFileSync } from 'node:fs';

/** The names of the first column of docs/operating/METRICS.md, which is compared with real scrapes. */
const KNOWN = new Set(
  [...readFileSync('docs/operating/METRICS.md', 'utf8').matchAll(/^\| `(o3q_\w+)`/gm)].map(
    ([, name]) => name,
  ),
);

test.each([
  ['deploy/prometheus/alerts.yml', 20],
  ['deploy/prometheus/alerts.test.yml', 20],
  ['deploy/grafana/o3q.json', 35],
])('%s names only metrics that exist', (file, atLeast) => {
  const text = readFileSync(file, 'utf8');
  // A histogram has these endings. A name in quotes, as a rule in the tests, counts as well.
  const named = [...text.matchAll(/o3q_\w+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));
  expect(new Set(named).size).toBeGreaterThanOrEqual(atLeast);
  expect([...new Set(named)].filter((name) => !KNOWN.has(name))).toEqual([]);
});
