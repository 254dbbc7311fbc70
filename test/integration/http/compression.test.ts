import { type IncomingHttpHeaders, request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { openSse } from '../../support/http/sse-reader.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const GZIP = { 'accept-encoding': 'gzip' };

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ headersMs: 200, keepAliveMs: 200 });
});
afterAll(() => instance.stop());

interface RawAnswer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
}

/** Reads an answer as it was sent. */
function read(path: string, headers: Record<string, string>, method = 'GET'): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, instance.url), { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(chunks) }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

const JSON_BODY = { 'content-type': 'application/json' };

async function post(path: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const sent = { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) };
  const answer = await fetch(`${instance.url}${path}`, sent);
  return { status: answer.status, body: await answer.json() };
}

test('lists, results, pages, files and the document are compressed as the caller accepts it', async () => {
  const jobs = Array.from({ length: 20 }, (_, i) => ({ question: `Question ${i}: ${'why? '.repeat(30)}` }));
  const bulk = await post('/jobs/bulk', { jobs });
  expect(bulk.status).toBe(207);
  const metadata = { sim_output_tokens: '4000', sim_deltas: '1' };
  const long = await post('/jobs?wait=60', { question: 'Long?', metadata });
  expect(long.body).toMatchObject({ status: 'completed' });
  const { id } = long.body as { id: string };

  const paths = [
    '/jobs',
    `/jobs/${id}/result`,
    `/v1/responses/${id.replace('job_', 'resp_')}`,
    `/console/jobs/${id}`,
    '/openapi.json',
    '/docs/swagger-ui.css',
  ];
  for (const path of paths) {
    const { status, headers, bytes } = await read(path, GZIP);
    expect({ path, status, coding: headers['content-encoding'] }).toEqual({
      path,
      status: 200,
      coding: 'gzip',
    });
    expect(headers).toMatchObject({ vary: expect.stringContaining('Accept-Encoding') });
    expect(headers['content-length']).toBeUndefined();
    const text = gunzipSync(bytes).toString();
    expect(bytes.length).toBeLessThan(text.length / 2);
    // The jobs of the list change their status meanwhile.
    if (path !== '/jobs') expect((await read(path, {})).bytes.toString()).toBe(text);
  }
  const [brotli, neither] = [
    await read('/openapi.json', { 'accept-encoding': 'gzip, deflate, br' }),
    await read('/openapi.json', { 'accept-encoding': 'zstd, gzip;q=0' }),
  ];
  expect(brotli.headers).toMatchObject({ 'content-encoding': 'br' });
  expect(brotliDecompressSync(brotli.bytes)).toEqual(neither.bytes);
  expect(neither.headers).toMatchObject({ vary: expect.stringContaining('Accept-Encoding') });
  expect(neither.headers['content-encoding']).toBeUndefined();
});

test('short answers are sent as they are', async () => {
  const { body } = await post('/jobs', { question: 'Short?' });
  const { id } = body as { id: string };
  for (const path of [`/jobs/${id}`, '/livez', '/jobs?q=nothing+has+this']) {
    const { status, headers, bytes } = await read(path, GZIP);
    expect({ path, status, coding: headers['content-encoding'] }).toEqual({
      path,
      status: 200,
      coding: undefined,
    });
    expect(headers['content-length']).toBe(String(bytes.length));
  }
});

test('event streams and held answers are not compressed, so that each part arrives at once', async () => {
  const slow = { metadata: { sim_think_ms: '60000' } };
  const { body } = await post('/jobs', { question: 'Slow?', ...slow });
  const { id } = body as { id: string };
  for (const path of [`/jobs/${id}/events`, `/v1/responses/${id.replace('job_', 'resp_')}?stream=true`]) {
    const { contentType, messages } = await openSse(`${instance.url}${path}`, GZIP);
    expect(contentType).toContain('text/event-stream');
    // This event arrives although the job is far from its end.
    for await (const message of messages) {
      expect(message.event).toMatch(/status|response.created/);
      break;
    }
    messages.drop();
  }
  const held = await fetch(`${instance.url}/v1/responses`, {
    method: 'POST',
    headers: { ...GZIP, ...JSON_BODY, 'o3q-on-disconnect': 'cancel' },
    body: JSON.stringify({ model: 'o3', input: 'Slower?', ...slow }),
  });
  expect(held.headers.get('content-encoding')).toBeNull();
  const reader = held.body?.getReader();
  // A space keeps the connection alive.
  expect((await reader?.read())?.value).toEqual(Uint8Array.of(0x20));
  await reader?.cancel();
  await post(`/jobs/${id}/cancel`, {});
});

test('HEAD, conditional and partial requests are answered for the compressed form', async () => {
  const [head, whole] = [await read('/openapi.json', GZIP, 'HEAD'), await read('/docs/swagger-ui.css', GZIP)];
  expect(head).toMatchObject({ status: 200, headers: { vary: expect.stringContaining('Accept-Encoding') } });
  expect(head.bytes.length).toBe(0);
  expect(head.headers['content-length']).toBeUndefined();

  const etag = String(whole.headers.etag);
  // A strong one would name the same bytes in each coding.
  expect(etag).toMatch(/^W\//);
  const known = await read('/docs/swagger-ui.css', { ...GZIP, 'if-none-match': etag });
  expect(known).toMatchObject({ status: 304, headers: { vary: expect.stringContaining('Accept-Encoding') } });
  expect(known.headers['content-encoding']).toBeUndefined();

  const part = await read('/docs/swagger-ui.css', { ...GZIP, range: 'bytes=0-9999' });
  expect(part.status).toBe(206);
  expect(part.headers['content-encoding']).toBeUndefined();
  expect(part.bytes).toEqual(gunzipSync(whole.bytes).subarray(0, 10_000));
});

test('a page that another site opens with the session of its visitor is not compressed', async () => {
  const session = { ...GZIP, cookie: 'o3q_session=some' };
  const [own, foreign, program] = [
    await read('/console/jobs?q=Question', { ...session, 'sec-fetch-site': 'same-origin' }),
    await read('/console/jobs?q=Question', { ...session, 'sec-fetch-site': 'same-site' }),
    await read('/console/jobs?q=Question', { ...GZIP, 'sec-fetch-site': 'cross-site' }),
  ];
  expect(own.headers['content-encoding']).toBe('gzip');
  expect(foreign.headers['content-encoding']).toBeUndefined();
  expect(foreign.bytes.toString()).toContain('Question');
  expect(program.headers['content-encoding']).toBe('gzip');
});
