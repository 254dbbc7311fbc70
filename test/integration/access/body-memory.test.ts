import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { JobPage } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ http: { maxBodyMb: 1 }, workers: 0 });
});
afterAll(() => instance.stop());

/** Declares a body of 1 MB, and sends only its first byte. */
async function heldUpload(): Promise<Socket> {
  const { hostname, port } = new URL(instance.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  await once(socket, 'connect');
  const head = `POST /jobs HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: 1048576`;
  await new Promise<void>((resolve) => socket.write(`${head}\r\n\r\n{`, () => resolve()));
  return socket;
}

it('a large body waits while others take the memory for bodies, and small requests do not', async () => {
  const uploads = await Promise.all([heldUpload(), heldUpload()]);
  const post = (question: string) => call(instance.url, 'POST', '/jobs', { body: { question } });
  // The producer has read the heads of both uploads before it answers this.
  expect(await post('Why?')).toMatchObject({ status: 202 });
  let isAnswered = false;
  const large = post('Why? '.repeat(100_000)).finally(() => {
    isAnswered = true;
  });
  for (let i = 0; i < 20; i += 1) expect(await post('And why?')).toMatchObject({ status: 202 });
  expect(isAnswered).toBe(false);
  for (const upload of uploads) upload.destroy();
  expect(await large).toMatchObject({ status: 202 });
});

const askO3 = (question: string) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'ask_o3', arguments: { question, wait_s: 50 } },
});

it.each<[string, (question: string) => object]>([
  ['/jobs?wait=60', (question) => ({ question })],
  ['/v1/responses', (input) => ({ model: 'o3', input })],
  ['/mcp', askO3],
])('calls of %s that wait for their answers do not hold the memory of their bodies', async (path, bodyOf) => {
  const gone = new AbortController();
  const { signal } = gone;
  const headers = { accept: 'application/json, text/event-stream' };
  // Two of these bodies fill what one caller may have.
  const held = [1, 2, 3, 4].map((i) => {
    const body = bodyOf(`Held ${i} by ${path} ${'x'.repeat(900_000)}`);
    return call(instance.url, 'POST', path, { body, headers, signal });
  });
  const all = Promise.allSettled(held);
  await eventually(async () => {
    const { body } = await call(instance.url, 'GET', '/jobs?limit=100');
    const jobs = (body as JobPage).jobs.filter(({ question }) => question.includes(`by ${path}`));
    expect(jobs).toHaveLength(4);
  });
  gone.abort();
  await all;
});
