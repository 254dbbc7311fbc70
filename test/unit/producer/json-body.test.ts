import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import express from 'express';
import { bodyRoom, createBodyMemory } from '../../../producer/http/body-memory.ts';
import { problemFrom } from '../../../producer/http/http-problem.ts';
import { createJsonBodies, type JsonBodiesOptions } from '../../../producer/http/json-body.ts';
import { call } from '../../support/http/http-calls.ts';

const MB = 1024 ** 2;

let server: Server;
let url: string;
let sockets: Socket[];

/**
 * A server that answers with the length of the body. `/hold` drops the body and waits for `/free`; `/keep`
 * does not drop it.
 */
async function serve(options: Partial<JsonBodiesOptions>): Promise<void> {
  const bodies = createJsonBodies({ mostBytes: 4 * MB, memory: createBodyMemory(4 * MB), ...options });
  const app = express();
  let free: () => void = () => {};
  app.post('/hold', bodies.read, async (request, response) => {
    bodies.drop(request);
    await new Promise<void>((resolve) => {
      free = resolve;
    });
    response.json({ body: request.body === undefined ? 'dropped' : 'held' });
  });
  app.post('/keep', bodies.read, async (_request, response) => {
    server.emit('kept');
    await new Promise<void>((resolve) => {
      free = resolve;
    });
    response.json({});
  });
  app.post('/free', (_request, response) => {
    free();
    response.json({});
  });
  app.post('/', bodies.read, (request, response) => {
    response.json({ length: JSON.stringify(request.body ?? '').length });
  });
  app.use(((error, _request, response, _next) => {
    const problem = problemFrom(error);
    response
      .status(problem?.status ?? 500)
      .set(problem?.headers ?? {})
      .json(problem ?? { error: String(error) });
  }) satisfies express.ErrorRequestHandler);
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(() => {
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/**
 * Sends the head of a request, and some bytes of its body. The server has read the head when this resolves.
 */
async function begun(headers: string, bytes = '{'): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => {});
  const isRead = once(server, 'request') as Promise<[IncomingMessage]>;
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}\r\n\r\n${bytes}`);
  await isRead;
  return socket;
}

async function answerTo(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (part) => {
    text += String(part);
  });
  await once(socket, 'close');
  return text;
}

const post = (body: unknown, headers: Record<string, string> = {}, path = '/') =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body),
  });
const large = { question: 'x'.repeat(2 * MB) };

it('a large body waits for memory until a body before it has broken off', async () => {
  await serve({});
  const upload = await begun(`content-length: ${4 * MB}`);
  const waiting = post(large);
  expect((await post({ question: 'small' })).status).toBe(200);
  upload.destroy();
  expect((await waiting).status).toBe(200);
});

it('a large body that waits too long for memory is refused, with a time to try again', async () => {
  await serve({ waitMs: 20 });
  await begun(`content-length: ${4 * MB}`);
  const refused = await post(large);
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('5');
  expect(await refused.json()).toMatchObject({ code: 'body_memory_full' });
});

it('a large body that comes too slowly is refused, and its memory is free', async () => {
  await serve({ graceMs: 50 });
  const upload = await begun(`content-length: ${4 * MB}`);
  expect(await answerTo(upload)).toMatch(/^HTTP\/1\.1 408 .*connection: close.*"code":"body_too_slow"/is);
  expect((await post(large)).status).toBe(200);
});

it('a body that was dropped takes no memory while its caller waits for the answer', async () => {
  await serve({});
  const held = post({ question: 'x'.repeat(3 * MB) }, {}, '/hold');
  expect((await post({ question: 'x'.repeat(3 * MB) })).status).toBe(200);
  await post({}, {}, '/free');
  expect(await (await held).json()).toEqual({ body: 'dropped' });
});

it.each([
  ['until the one before it is answered', { turnMs: 3_600_000 }],
  ['for a limited time', { turnMs: 1 }],
])('a heavy body waits for its turn %s, and small ones do not wait', async (_what, options) => {
  await serve({ memory: createBodyMemory(16 * MB), ...options });
  const kept = once(server, 'kept');
  const first = post({ question: 'x'.repeat(1.5 * MB) }, {}, '/keep');
  await kept;
  let isAnswered = false;
  const second = post({ question: 'x'.repeat(1.5 * MB) }).finally(() => {
    isAnswered = true;
  });
  for (let i = 0; i < 20; i += 1) expect((await post({ question: 'small' })).status).toBe(200);
  if (options.turnMs > 1) {
    expect(isAnswered).toBe(false);
    await post({}, {}, '/free');
  }
  expect((await second).status).toBe(200);
  await post({}, {}, '/free');
  expect((await first).status).toBe(200);
});

it('a body whose length was not declared takes only what it needs once it is read', async () => {
  await serve({});
  const body = gzipSync(JSON.stringify({ question: 'x'.repeat(MB) }));
  const held = post(body, { 'content-encoding': 'gzip' }, '/hold');
  expect((await post(body, { 'content-encoding': 'gzip' })).status).toBe(200);
  await post({}, {}, '/free');
  await held;
});

it.each(['gzip', 'identity'])('a body over the limit is refused by its setting: %s', async (coding) => {
  await serve({});
  const text = JSON.stringify({ question: 'x'.repeat(5 * MB) });
  const refused = await call(url, 'POST', '/', {
    body: coding === 'gzip' ? gzipSync(text) : text,
    headers: { 'content-encoding': coding, 'content-type': 'application/json' },
  });
  expect(refused).toMatchObject({
    status: 413,
    body: { code: 'body_too_large', detail: expect.stringContaining('at most 4 MB (http.maxBodyMb') },
  });
});

it.each([
  ['a large heap has room for four of the largest bodies', 4096, 200],
  ['a smaller heap has room for an eighth of it', 1024, 128],
  ['the smallest heap has room for one of the largest bodies', 256, 50],
])('%s', (_what, heapMb, roomMb) => {
  expect(bodyRoom(50 * MB, heapMb * MB)).toBe(roomMb * MB);
});
