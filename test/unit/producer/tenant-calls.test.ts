import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import express, { type ErrorRequestHandler } from 'express';
import { setCaller } from '../../../producer/access/caller.ts';
import { createHeavyCalls } from '../../../producer/access/heavy-calls.ts';
import { limitOpenCalls, mostOpenCalls } from '../../../producer/access/request-rate.ts';
import { problemFrom } from '../../../producer/http/http-problem.ts';
import { sendStream } from '../../../producer/http/stream-reply.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';

let server: Server;
let url: string;
let waiting: (() => void)[];
let open: number;

const answerProblem: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
  const problem = problemFrom(error);
  response
    .set(problem?.headers ?? {})
    .status(problem?.status ?? 500)
    .json(problem);
};

/** A server whose calls wait until the test frees them. A header names the tenant. */
beforeEach(async () => {
  [waiting, open] = [[], 0];
  const app = express();
  app.use(({ headers }, response, next) => {
    setCaller(response, { tenant: String(headers['x-tenant']), admin: false, keyId: '' });
    next();
  });
  const held = (): Promise<void> => {
    open += 1;
    return new Promise((resolve) => waiting.push(resolve));
  };
  app.get('/held', limitOpenCalls(2), async (_request, response) => {
    await held();
    response.json({});
  });
  const heavy = createHeavyCalls(200);
  app.get('/heavy', async (_request, response) => {
    await heavy.run(response, new AbortController().signal, held);
    response.json({});
  });
  app.get('/stream', async (_request, response) => {
    async function* chunks(): AsyncGenerator<string> {
      for (let i = 0; i < 1000; i += 1) yield 'x'.repeat(1024 ** 2);
    }
    open += 1;
    response.once('close', () => {
      open -= 1;
    });
    await sendStream({ contentType: 'text/plain', chunks: chunks(), keepAlive: '' }, response, 50, 1500);
  });
  app.use(answerProblem);
  server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const as = (tenant: string, path: string) => call(url, 'GET', path, { headers: { 'x-tenant': tenant } });
const areOpen = (count: number) => eventually(async () => expect(open).toBe(count));

it('a key has at most so many open calls, other keys have theirs, and an ended call makes room', async () => {
  const held = [as('greedy', '/held'), as('greedy', '/held'), as('calm', '/held')];
  await areOpen(3);
  expect(await as('greedy', '/held')).toMatchObject({
    status: 429,
    headers: { 'retry-after': '5' },
    body: {
      code: 'too_many_requests',
      detail: expect.stringContaining('greedy has 2 open calls at this producer, and may have 2'),
    },
  });
  for (const free of waiting) free();
  await Promise.all(held);
  const again = as('greedy', '/held');
  await areOpen(4);
  waiting.at(-1)?.();
  expect(await again).toMatchObject({ status: 200 });
});

it('half of the connections of the process may be of one key, and ten thousand at most', () => {
  expect(mostOpenCalls({ open: 20, limit: 1024 })).toBe(512);
  expect(mostOpenCalls({ open: 20, limit: 1_048_576 })).toBe(10_000);
  expect(mostOpenCalls(undefined)).toBe(10_000);
});

it('heavy calls of one key leave turns to another, and are refused when their turn does not come', async () => {
  const greedy = Array.from({ length: 3 }, () => as('greedy', '/heavy'));
  await areOpen(2);
  const calm = as('calm', '/heavy');
  await areOpen(3);
  const refused = await Promise.race(greedy);
  expect(refused).toMatchObject({
    status: 429,
    headers: { 'retry-after': '5' },
    body: { code: 'too_many_requests', detail: expect.stringContaining('take turns') },
  });
  for (const free of waiting) free();
  expect(await calm).toMatchObject({ status: 200 });
  expect((await Promise.all(greedy)).map(({ status }) => status).sort()).toEqual([200, 200, 429]);
});

it('a reader who takes nothing loses its connection, and one who reads slowly keeps it', async () => {
  const port = Number(new URL(url).port);
  const [stalled, slow] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
  for (const socket of [stalled, slow]) {
    socket.on('error', () => {});
    socket.write('GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n');
    socket.pause();
  }
  await areOpen(2);
  const timer = setInterval(() => slow.read(), 20);
  slow.on('readable', () => {});
  await areOpen(1);
  expect(slow.destroyed).toBe(false);
  clearInterval(timer);
  stalled.destroy();
  slow.destroy();
  await areOpen(0);
});
