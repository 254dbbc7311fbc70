import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { O3Client } from '../../../src/client/o3-client.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const API_KEY = 'sk-proj-a/key-that-some-servers-repeat-0123456789';
const LARGEST = 1024 ** 2;
const TEXT = 'x'.repeat(2 * LARGEST);

type Reply = (response: ServerResponse) => void;

const json =
  (body: unknown, status = 200): Reply =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const stream =
  (...events: object[]): Reply =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
    response.end();
  };
const message = (text: string) => ({
  type: 'message',
  role: 'assistant',
  content: [{ type: 'output_text', text }],
});
const answered = (fields: object = {}) => ({
  ...{ id: 'resp_odd', object: 'response', status: 'completed', model: 'o3', output: [message('Yes.')] },
  ...fields,
});
const created = { type: 'response.created', response: answered({ status: 'in_progress', output: [] }) };
const failing = (error: unknown) =>
  stream(created, { type: 'response.failed', response: answered({ error }) });

/** What unpacks to 2 GB of spaces: one gzip member of a megabyte, 2048 times. */
const bomb =
  (status: number, beginning: string): Reply =>
  (response) => {
    const member = gzipSync(' '.repeat(1024 ** 2));
    response.writeHead(status, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    response.end(Buffer.concat([gzipSync(beginning), ...Array.from({ length: 2048 }, () => member)]));
  };

/** Replies to a create, by its question, and to lookups of what it created. */
const CREATES: Record<string, Reply> = {
  'a bomb': bomb(200, '{"id":"resp_bomb","output":"'),
  'a bomb in a refusal': bomb(400, '{"error":{"message":"'),
  'a large JSON': json(answered({ output: [message(TEXT)] })),
  'a large event': stream(created, {
    type: 'response.completed',
    response: answered({ output: [message(TEXT)] }),
  }),
  'a large first event': stream({
    type: 'response.completed',
    response: answered({ output: [message(TEXT)] }),
  }),
  'an endless stream': (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${JSON.stringify(created)}\n\n`);
    const delta = JSON.stringify({ type: 'response.output_text.delta', delta: 'x'.repeat(10_000) });
    const more = (): void => {
      while (!response.destroyed && response.write(`data: ${delta}\n\n`));
    };
    response.on('drain', more);
    more();
  },
  'a large lookup': json(answered({ id: 'resp_large', status: 'queued', background: true, output: [] })),
  'an object as model': json(answered({ model: { name: 'o3' } })),
  'numbers as text': json(answered({ usage: { input_tokens: '7', output_tokens: '3', total_tokens: '10' } })),
  'a number as id': json(answered({ id: 17 })),
  'odd fields': json(
    answered({ metadata: 'none', incomplete_details: 'none', error: false, background: 'no', usage: [] }),
  ),
  'an error of words': json(answered({ status: 'failed', error: 'The GPU is on fire' })),
  'an error of objects': failing({ code: { a: 1 }, message: ['on fire'] }),
  'an error event of objects': stream({ type: 'error', code: { a: 1 }, message: { b: 2 } }),
  'an unknown status': json(answered({ id: 'resp_gone', status: 'queued', background: true, output: [] })),
  'an unknown status with an answer': json(
    answered({ id: 'resp_done', status: 'queued', background: true, output: [] }),
  ),
  'the key in a refusal': json({ error: { message: `The key ${API_KEY} may not do this` } }, 400),
  'the key in a 200': json({ error: { message: `The key ${API_KEY} may not do this`, code: 400 } }),
  'the key in an event': failing({ code: 'invalid_prompt', message: `Bearer ${API_KEY}` }),
};
const LOOKUPS: Record<string, Reply> = {
  resp_gone: json(answered({ id: 'resp_gone', status: 'expired', output: [] })),
  resp_done: json(answered({ id: 'resp_done', status: 'succeeded' })),
  resp_large: json(answered({ id: 'resp_large', output: [message(TEXT)] })),
};

describe('an upstream with odd answers', () => {
  let server: Server;
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const id = /\/responses\/(\w+)$/.exec(request.url ?? '')?.[1];
        const { input } = chunks.length === 0 ? { input: '' } : JSON.parse(Buffer.concat(chunks).toString());
        const reply = id === undefined ? CREATES[input] : LOOKUPS[id];
        (reply ?? json({ error: { message: 'not found' } }, 404))(response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const patience = { lostMs: 300 };
    instance = await startInstance({
      upstream: { apiKey: API_KEY, baseUrl, patience, largestAnswerBytes: LARGEST },
    });
    client = new O3Client({ url: instance.url });
  });
  afterAll(async () => {
    await instance.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const finished = async (question: string) => {
    const { id } = await client.enqueue({ question, max_attempts: 1 });
    return client.wait(id, { timeoutMs: 60_000 });
  };

  it.each([
    ['a bomb', '1 MB'],
    ['a large JSON', '1 MB'],
    ['a large event', '1 MB'],
    ['a large first event', '1 MB'],
    ['an endless stream', '4 MB'],
    ['a large lookup', '1 MB'],
  ])(
    '%s: the job fails at once with the limit of %s, and its purchase is booked',
    async (question, limit) => {
      expect(await finished(question)).toMatchObject({
        status: 'failed',
        error: { code: 'answer_too_large', message: expect.stringContaining(limit), retryable: false },
        ...{ purchases: 1, uncertain_purchases: 0 },
      });
      expect(process.memoryUsage().rss).toBeLessThan(1.5 * 1024 ** 3);
    },
  );

  it('a bomb in a refusal: only its beginning is read', async () => {
    expect(await finished('a bomb in a refusal')).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_request' },
    });
  });

  it.each([
    ['an object as model', { upstream_model: 'unknown' }],
    [
      'numbers as text',
      { usage: expect.objectContaining({ input_tokens: 7, output_tokens: 3, total_tokens: 10 }) },
    ],
    ['a number as id', {}],
    ['odd fields', { usage: null, incomplete_reason: null }],
    ['an unknown status with an answer', {}],
  ])('%s: the answer is taken', async (question, fields) => {
    const job = await finished(question);
    expect(job).toMatchObject({ status: 'completed', result: { answer_preview: 'Yes.', ...fields } });
  });

  it.each([
    ['an error of words', 'response_failed', 'The GPU is on fire'],
    ['an error of objects', 'response_failed', 'on fire'],
    ['an error event of objects', 'response_failed', ''],
    ['an unknown status', 'response_failed', '"expired"'],
  ])('%s: the job fails as %s', async (question, code, words) => {
    expect(await finished(question)).toMatchObject({
      status: 'failed',
      error: { code, message: expect.stringContaining(words) },
    });
  });

  it.each(['the key in a refusal', 'the key in a 200', 'the key in an event'])(
    '%s: neither the job nor a log line has it',
    async (question) => {
      const job = await finished(question);
      expect(job).toMatchObject({
        status: 'failed',
        error: { message: expect.stringContaining('[API key]') },
      });
      expect(instance.logLines.filter((line) => line.includes(API_KEY))).toEqual([]);
    },
  );
});
