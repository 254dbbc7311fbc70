import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { O3Client } from '../../../src/client/o3-client.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { o3q } from '../../support/process/o3q.ts';
import { useRecordingWorld } from '../../support/worlds/recording-world.ts';

/** The numbers of a body, as a caller wrote them and as the upstream is sent them, by every door. */

const world = useRecordingWorld();

const FIELDS =
  '"temperature":1.0,"top_p":0.90,"seed":9007199254740993,"metadata":{"n":"1.0"},' +
  '"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"n":{"type":"integer",' +
  '"minimum":-9223372036854775808,"maximum":9223372036854775807,"enum":[[-0,1e400,1E5]]}}}}]';
const BODY = `{"input":"x",${FIELDS}}`;

async function post(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${world.instance.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
}
/** The worker adds what it sets behind the fields of the caller. */
async function expectSent(fields = `{"input":"x",${FIELDS},"model":"o3"`): Promise<void> {
  await eventually(() => expect(world.upstream.received).toHaveLength(1));
  expect(world.upstream.received[0]?.text.slice(0, fields.length)).toBe(fields);
  expect(world.upstream.received[0]?.headers['content-type']).toBe('application/json');
}

it('POST /jobs', async () => {
  expect((await post('/jobs', `{"request":${BODY},"timeout_ms":60000.0}`)).status).toBe(202);
  await expectSent();
});

it('POST /jobs with a byte order mark', async () => {
  expect((await post('/jobs', `\ufeff{"request":${BODY}}`)).status).toBe(202);
  await expectSent();
});

it('POST /jobs/bulk', async () => {
  expect((await post('/jobs/bulk', `{"jobs":[{"request":${BODY}}]}`)).status).toBe(207);
  await expectSent();
});

it('POST /v1/responses, which also shows the request as it came', async () => {
  const answer = await post('/v1/responses', `{"model":"o3","background":true,"input":"x",${FIELDS}}`);
  const text = await answer.text();
  expect({ status: answer.status, text }).toMatchObject({
    status: 200,
    text: expect.stringContaining('9223372036854775807'),
  });
  await expectSent(`{"model":"o3","input":"x",${FIELDS}`);
});

it('o3q batch, which also repeats its custom_id as it came', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'o3q-numbers-'));
  const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
  await writeFile(input, `{"custom_id":9007199254740993,"request":${BODY}}\n`);
  expect(
    await o3q(['batch', input, '--out', output], { environment: { O3Q_URL: world.instance.url } }),
  ).toMatchObject({
    code: 0,
  });
  expect(await readFile(output, 'utf8')).toContain('"custom_id":9007199254740993,');
  await rm(folder, { recursive: true });
  await expectSent();
});

it('O3Queue and O3Client, to which a program gives large integers as bigints', async () => {
  const queue = new O3Queue({ redisUrl: world.instance.redis.url });
  const client = new O3Client({ url: world.instance.url });
  const request = { request: { input: 'x', tools: [{ maximum: 9223372036854775807n }] } };
  const sent = '{"input":"x","tools":[{"maximum":9223372036854775807}],"model":"o3"';
  await queue.enqueue(request);
  await expectSent(sent);
  world.upstream.received.splice(0);
  await client.enqueue(request);
  await expectSent(sent);
  world.upstream.received.splice(0);
  await client.enqueueBulk([request]);
  await expectSent(sent);
  await queue.close();
});

it('a BullMQ client in a language that writes such numbers', async () => {
  const redis = new Redis(world.instance.redis.url);
  const bare = new Queue('{o3}', { prefix: 'o3q', connection: redis });
  // BullMQ for Node cannot write them, so the data is put in its place before the job is due.
  const job = await bare.add('x', {}, { delay: 2000 });
  await redis.hset(`o3q:{o3}:${job.id}`, 'data', `{"request":${BODY},"timeout_ms":6e4}`);
  await expectSent();
  await bare.close();
  redis.disconnect();
});

it('the same idempotency key is for the same numbers only, however they are written', async () => {
  const body = (maximum: string) => `{"request":{"input":"key","tools":[{"maximum":${maximum}}]}}`;
  const status = async (key: string, maximum: string) =>
    (await post('/jobs', body(maximum), { 'idempotency-key': key })).status;
  expect(await status('large', '9223372036854775807')).toBe(202);
  expect(await status('large', '9223372036854775807')).toBe(200);
  expect(await status('large', '9223372036854775806')).toBe(409);
  expect(await status('small', '1.0')).toBe(202);
  expect(await status('small', '1')).toBe(200);
});

it('a number of an unknown field is refused with the same message, whatever its digits', async () => {
  const answer = await post('/jobs', '{"question":"x","priority":1.50}');
  expect({ status: answer.status, body: await answer.json() }).toMatchObject({
    status: 400,
    body: { code: 'invalid_request', detail: expect.stringMatching(/priority: .*got 1\.5/) },
  });
});
