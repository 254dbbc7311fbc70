import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createSimulator } from '../../../simulator/simulator.ts';
import { eventually } from '../../support/eventually.ts';
import { openWebhookReceiver } from '../../support/http/webhook-receiver.ts';
import { openUpstreamGate } from '../../support/openai/upstream-gate.ts';
import { type CliProcess, createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis } from '../../support/redis/redis-server.ts';

const FACT_LIMIT_MS = 60_000;
const SDK = pathToFileURL(join(__dirname, '../../support/tracing/traced.mjs')).href;
const LOOKUPS = ({ method, path }: { method: string; path: string }): boolean =>
  method === 'GET' && path.includes('/responses/');

const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const QUESTION = 'Which secret does the moon keep?';
const ANSWER = 'That it borrows its light.';
const SECRETS = {
  key: 'sk-upstream-key-of-the-test',
  tenantKey: 'key-of-alice-0123456789abcdef',
  metadata: 'confidential-project',
  query: 'token-of-the-receiver',
};

interface Span {
  name: string;
  kind: number;
  attributes: Record<string, unknown>;
  events: unknown[];
  status: { code: number };
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  links: { traceId: string; spanId: string }[];
}
const CONSUMER = 4;

const processes = createCliProcesses();
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await processes.end();
  for (const close of closing.splice(0).reverse()) await close();
});

/** A producer, two workers, a simulator and a receiver of webhooks. Each process has an SDK. */
async function startInstance() {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-spans-'));
  closing.push(() => rm(folder, { recursive: true, force: true }));
  const redis = await startTestRedis();
  closing.push(() => redis.stop());
  const simulator = createSimulator({ thinkMs: 10, paid: true, answer: () => ANSWER });
  const gate = await openUpstreamGate((await simulator.listen(0)).url);
  closing.push(async () => {
    await gate.close();
    await simulator.close();
  });
  const receiver = await openWebhookReceiver();
  closing.push(receiver.close);
  const config = join(folder, 'o3q.config.json');
  await writeFile(config, JSON.stringify({ allowPrivateWebhooks: true, tenants: { alice: { weight: 2 } } }));
  const spans = join(folder, 'spans.jsonl');
  await writeFile(spans, '');
  const start = (command: string, environment: Record<string, string> = {}): Promise<CliProcess> =>
    processes.start([command], {
      ...{ NODE_OPTIONS: `--import ${SDK}`, O3_TEST_SPANS: spans, LOG_LEVEL: 'debug' },
      ...{ REDIS_URL: redis.url, O3Q_CONFIG: config, O3Q_KEYS: `alice:${SECRETS.tenantKey}` },
      ...{ OPENAI_API_KEY: SECRETS.key, OPENAI_BASE_URL: gate.url, PORT: '0' },
      O3Q_SIGNING_SECRET: `whsec_${Buffer.from('a secret for tests, of 24 bytes').toString('base64')}`,
      ...environment,
    });
  const started = await Promise.all([start('producer'), start('worker'), start('worker')]);
  const [producer, ...workers] = started;
  const url = await producer.says(/ready on (\S+)/);
  await Promise.all(workers.map((worker) => worker.says(/(worker ready)/)));
  return { gate, receiver, producer, workers, url, exported: () => readFile(spans, 'utf8') };
}

/** What a caller of the HTTP API does, within a trace of its own. */
async function ask(url: string, webhook: string): Promise<string> {
  const response = await fetch(`${url}/jobs`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${SECRETS.tenantKey}`,
      traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-01`,
      tracestate: 'vendor=1',
    },
    body: JSON.stringify({
      ...{ question: QUESTION, stream: false, reasoning_effort: 'high' },
      metadata: { project: SECRETS.metadata },
      webhook_url: `${webhook}?token=${SECRETS.query}`,
    }),
  });
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

it('leads from an HTTP caller through a killed worker to the answer that another worker adopts', async () => {
  const { gate, receiver, producer, workers, url, exported } = await startInstance();
  // The upstream answers no lookup, so that the first worker cannot see the end of the response.
  gate.shut(LOOKUPS);
  const id = await ask(url, receiver.url);
  const bought = (worker: CliProcess): boolean => /"bought"/.test(worker.stderr());
  await eventually(() => expect(workers.filter(bought)).toHaveLength(1), FACT_LIMIT_MS);
  const [first, second] = workers.some((worker, i) => bought(worker) && i === 0)
    ? workers
    : [...workers].reverse();
  first?.kill('SIGKILL');
  await first?.exited;
  gate.open();
  await eventually(() => expect(receiver.received).toHaveLength(1), FACT_LIMIT_MS);
  const answered = await fetch(`${url}/jobs/${id}/result`, {
    headers: { authorization: `Bearer ${SECRETS.tenantKey}` },
  });
  expect(await answered.text()).toContain(ANSWER);
  // Each process exports what it still has before it ends.
  for (const one of [second, producer]) one?.kill('SIGTERM');
  for (const one of [second, producer]) expect((await one?.exited)?.code).toBe(0);

  const text = await exported();
  const spans = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Span);
  const only = (name: string): Span => {
    const found = spans.filter((span) => span.name === name);
    expect(found.map((span) => span.name)).toEqual([name]);
    return found[0] as Span;
  };
  const send = only('send o3');
  expect(send).toMatchObject({ traceId: CALLER.traceId, parentSpanId: CALLER.spanId, status: { code: 0 } });

  // The killed worker has exported nothing. The attempt of the second is a trace of its own.
  const attempt = only('process o3');
  expect(attempt).not.toHaveProperty('parentSpanId');
  expect(attempt).toMatchObject({
    kind: CONSUMER,
    links: [{ traceId: CALLER.traceId, spanId: send.spanId }],
    attributes: { 'o3q.job.id': id, 'o3q.adopted': true, 'o3q.outcome': 'completed', 'o3q.tenant': 'alice' },
    status: { code: 0 },
  });
  const chat = only('chat o3');
  expect(chat).toMatchObject({ traceId: attempt.traceId, parentSpanId: attempt.spanId, status: { code: 0 } });
  // It links to the span of the purchase, which was of the killed worker: a third trace.
  expect(chat.links).toHaveLength(1);
  expect([CALLER.traceId, attempt.traceId]).not.toContain(chat.links[0]?.traceId);
  expect(chat.attributes).toMatchObject({
    'gen_ai.request.model': 'o3',
    'gen_ai.request.reasoning.level': 'high',
    'gen_ai.response.finish_reasons': ['stop'],
    'gen_ai.usage.output_tokens': expect.any(Number),
    'o3q.cost_usd': expect.any(Number),
    'server.address': '127.0.0.1',
  });
  expect(only('fetch_response o3')).toMatchObject({ parentSpanId: chat.spanId });
  expect(only('webhook 127.0.0.1')).toMatchObject({
    links: [{ traceId: attempt.traceId, spanId: attempt.spanId }],
    attributes: { 'http.response.status_code': 200, 'o3q.job.id': id },
  });

  const withTokens = spans.filter((span) => 'gen_ai.usage.output_tokens' in span.attributes);
  expect(withTokens).toEqual([chat]);
  expect(spans.flatMap((span) => span.events)).toEqual([]);
  for (const secret of [QUESTION, ANSWER, ...Object.values(SECRETS)]) expect(text).not.toContain(secret);
});
