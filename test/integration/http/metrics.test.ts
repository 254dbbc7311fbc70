import { O3Client } from '../../../src/client/o3-client.ts';
import { createProcessMetrics } from '../../../src/metrics/process-metrics.ts';
import { eventually } from '../../support/eventually.ts';
import { metricRows, metricsIn } from '../../support/metric-rows.ts';
import { describeWithPromtool } from '../../support/process/promtool.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/** A producer and a worker in one process, as `npm start` runs them. */
let instance: Instance;
const KEYS = { admin: 'admin-key-of-32-characters-at-least', alice: 'alice-key-of-32-characters-at-least' };
beforeAll(async () => {
  instance = await startInstance({
    keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
    models: {
      ...quickModels(),
      tenants: { alice: { weight: 1, dailyBudgetUsd: 10, onBudgetExhausted: 'wait' } },
    },
    metrics: createProcessMetrics({ ofNode: true }),
  });
});
afterAll(() => instance.stop());

const get = (path: string, key = KEYS.admin, init: RequestInit = {}) =>
  fetch(new URL(path, instance.url), {
    ...init,
    headers: { authorization: `Bearer ${key}`, ...init.headers },
  });
const scrape = async (): Promise<string> => (await get('/metrics')).text();
/** Returns how many cancelled jobs the process has counted. */
const cancelled = async (): Promise<number> => {
  const [, count] =
    /^o3q_jobs_total\{model="o3",status="cancelled",code=""\} (\d+)$/m.exec(await scrape()) ?? [];
  return Number(count);
};
/** Resolves when so many requests were measured with these labels. */
const measured = (labels: string, count: number) =>
  eventually(async () =>
    expect(await scrape()).toContain(`o3q_http_request_duration_seconds_count{${labels}} ${count}\n`),
  );

it('are for admin, as plain text, and say nothing that METRICS.md does not explain, nor less', async () => {
  const response = await get('/metrics');
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect((await get('/metrics', KEYS.alice)).status).toBe(403);
  expect((await get('/metrics', 'wrong')).status).toBe(401);
  expect((await get('/metrics?model=o3')).status).toBe(400);
  await measured('route="/metrics",method="GET",status="403"', 1);
  const text = await scrape();
  const { o3q_model_shutdown_timestamp_seconds: shutdown, ...rows } = metricRows();
  expect(shutdown).toEqual(['model', 'upstream_model']);
  const { o3q_model_shutdown_timestamp_seconds: _, ...told } = metricsIn(text);
  expect(told).toEqual(rows);
  expect(text.match(/^# TYPE \w+ /gm)).toHaveLength(new Set(text.match(/^# TYPE \w+ /gm)).size);
  expect(text).toContain('\nprocess_resident_memory_bytes ');
});

it('tell each request by the pattern of its route, and what has no route under one name', async () => {
  const client = new O3Client({ url: instance.url, apiKey: KEYS.alice });
  const { id } = await client.enqueue({ question: 'Told?' });
  for (const path of [
    `/jobs/${id}`,
    `/jobs/${id}/result?wait=20`,
    '/nothing/1',
    '/nothing/2',
    '/board/api/queues',
  ])
    await (await get(path)).text();
  await measured('route="/jobs/:id",method="GET",status="200"', 1);
  await measured('route="/jobs/:id/result?wait",method="GET",status="200"', 1);
  await measured('route="other",method="GET",status="404"', 2);
  await measured('route="/board",method="GET",status="200"', 1);
  expect(await scrape()).not.toContain(id);
});

it('tell the streams that are open, and of a stream only how long it took to begin', async () => {
  const client = new O3Client({ url: instance.url, apiKey: KEYS.alice });
  const { id } = await client.enqueue({ question: 'Streamed?', metadata: { sim_think_ms: '600000' } });
  const gone = new AbortController();
  await get(`/jobs/${id}/events`, KEYS.alice, { signal: gone.signal });
  await eventually(async () => expect(await scrape()).toContain('\no3q_open_streams 1\n'));
  const labels = 'route="/jobs/:id/events",method="GET",status="200"';
  expect(await scrape()).not.toContain(labels);
  gone.abort();
  await measured(labels, 1);
  expect(await scrape()).toContain('\no3q_open_streams 0\n');
  await client.cancel(id);
  await eventually(async () => expect(await cancelled()).toBe(1));
});

it('count a job that the producer ended, because no worker held it, once in the process', async () => {
  const client = new O3Client({ url: instance.url, apiKey: KEYS.alice });
  const before = await cancelled();
  const { id } = await client.enqueue({ question: 'Later?', delay_ms: 600_000 });
  await client.cancel(id);
  await client.cancel(id);
  expect(await cancelled()).toBe(before + 1);
});

describeWithPromtool('promtool check metrics', (promtool) => {
  it('finds nothing wrong with the scrape of a producer and a worker in one process', async () => {
    expect(promtool(['check', 'metrics'], await scrape())).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });
});
