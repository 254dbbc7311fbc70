import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { createUpstream } from '../../worker/upstream/client.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from '../support/http/certificate.ts';
import { asked, completed, never, useUpstreams } from '../support/openai/scripted-upstream.ts';
import { json, startScripted } from '../support/worlds/scripted-instance.ts';

/** What is known of a create whose connection failed: whether a byte of it was sent. */

const { connect, scripted } = useUpstreams();

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});

const listening = async (server: Server): Promise<string> => {
  servers.push(server);
  server.on('connection', (socket) => {
    sockets.add(socket);
    // A client that breaks off its handshake is no error of the test.
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
};
const withCertificate = (options: TlsOptions = {}): Server =>
  createTlsServer({ key: CERTIFICATE_KEY, cert: CERTIFICATE, ...options });

it.each<[string, () => Server]>([
  ['has a certificate that no authority has signed', () => withCertificate()],
  ['offers no common version of TLS', () => withCertificate({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })],
  ['resets each connection at once', () => createServer((socket) => socket.resetAndDestroy())],
  [
    'resets each connection in its handshake',
    () => createServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
  ],
  [
    'closes each connection in its handshake',
    () => createServer((socket) => socket.once('data', () => socket.end())),
  ],
  ['never answers a handshake', () => createServer()],
])('a create to a server that %s is no purchase', async (_what, server) => {
  const create = connect(await listening(server())).create(asked, { stream: true, signal: never });
  await expect(create).rejects.toMatchObject({
    name: 'RetryableError',
    code: 'connection_lost',
    message: expect.stringContaining('could not be reached'),
  });
});

it('a create with a key that no header can carry is no purchase', async () => {
  const { url, seen } = await startScripted(json(200, completed));
  const upstream = createUpstream({ apiKey: 'sk-\u0443', baseUrl: `${url}/v1` });
  await expect(upstream.create(asked, { stream: false, signal: never })).rejects.toMatchObject({
    name: 'RetryableError',
    code: 'connection_lost',
  });
  await upstream.close();
  expect(seen).toHaveLength(0);
});

it('a create that is cancelled before it has its connection is no purchase', async () => {
  const server = createServer();
  const connected = once(server, 'connection');
  const cancel = new AbortController();
  const create = connect(await listening(server)).create(asked, { stream: true, signal: cancel.signal });
  await connected;
  cancel.abort(new Error('cancelled'));
  await expect(create).rejects.not.toMatchObject({ name: 'PurchaseUncertainError' });
});

it('a create on a kept-alive connection that the server has closed gets a new connection', async () => {
  let closed: Promise<unknown> = Promise.resolve();
  const { upstream, seen } = await scripted((response, request) => {
    closed = once(request.socket, 'close');
    response.once('finish', () => setImmediate(() => request.socket.end()));
    json(200, completed)(response, request);
  });
  for (let i = 1; i <= 5; i += 1) {
    await upstream.create(asked, { stream: false, signal: never });
    expect(seen).toHaveLength(i);
    await closed;
  }
});

it('a create on a kept-alive connection that breaks is uncertain, and is not sent again', async () => {
  const { upstream, seen } = await scripted(json(200, completed), (_, { socket }) =>
    socket.resetAndDestroy(),
  );
  await upstream.create(asked, { stream: false, signal: never });
  await expect(upstream.create(asked, { stream: false, signal: never })).rejects.toMatchObject({
    name: 'PurchaseUncertainError',
  });
  expect(seen).toHaveLength(2);
});

it('a create of a process without a free descriptor is no purchase, and the next one is sent', async () => {
  const { url, seen } = await startScripted(json(200, completed));
  const script = join(__dirname, '../support/worker/few-descriptors.mjs');
  const child = spawn('sh', ['-c', `ulimit -n 256 && exec "$0" "$@"`, process.execPath, script, `${url}/v1`]);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await once(child, 'close');
  const [without, after] = said.trim().split('\n');
  expect(without).toMatch(/^RetryableError connection_lost: The upstream could not be reached: .*EMFILE/);
  expect(after).toBe('bought resp_1');
  expect(seen).toHaveLength(1);
});
