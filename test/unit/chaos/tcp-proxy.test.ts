import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { eventually } from '../../support/eventually.ts';
import { openTcpProxy, type TcpProxy } from '../../support/redis/tcp-proxy.ts';

let server: Server;
let atServer: Socket[];
let proxy: TcpProxy;
let pieces: string[];

beforeEach(async () => {
  atServer = [];
  pieces = [];
  server = createServer((socket) => {
    atServer.push(socket);
    socket.on('error', () => {});
    socket.on('data', (piece) => socket.write(`echo ${piece.toString()}`));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  proxy = await openTcpProxy(`http://127.0.0.1:${port}/v1`, {
    onSent: (piece) => pieces.push(piece.toString()),
  });
});
afterEach(async () => {
  await proxy.close();
  await new Promise((resolve) => server.close(resolve));
});

async function client(): Promise<{ socket: Socket; heard: () => string }> {
  const socket = connect(proxy.port, '127.0.0.1');
  // Whatever a test leaves open is reset at its end.
  socket.on('error', () => {});
  let text = '';
  socket.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  await once(socket, 'connect');
  return { socket, heard: () => text };
}

test('a TCP proxy passes on what both sides send, and shows what clients send', async () => {
  const { socket, heard } = await client();
  socket.write('hello');
  await eventually(() => expect(heard()).toBe('echo hello'));
  expect(pieces).toEqual(['hello']);
  expect(proxy.url).toBe(`http://127.0.0.1:${proxy.port}/v1`);
  socket.end();
  await once(socket, 'close');
  await eventually(() => expect(atServer[0]?.destroyed).toBe(true));
});

test('a black hole holds back data of old and new connections, and loses none of it', async () => {
  const old = await client();
  old.socket.write('one ');
  await eventually(() => expect(old.heard()).toBe('echo one '));
  proxy.blackHole();
  old.socket.write('two');
  const young = await client();
  young.socket.write('three');
  // What stands behind the black hole has heard nothing by the time that another way there has been walked
  // both ways.
  const { port } = server.address() as AddressInfo;
  const direct = connect(port, '127.0.0.1');
  direct.write('direct');
  await once(direct, 'data');
  direct.destroy();
  expect([old.heard(), young.heard()]).toEqual(['echo one ', '']);

  proxy.heal();
  await eventually(() => {
    expect(old.heard()).toBe('echo one echo two');
    expect(young.heard()).toBe('echo three');
  });
});

test('a reset of the proxy is a connection error at both ends', async () => {
  const { socket, heard } = await client();
  socket.write('hello');
  await eventually(() => expect(heard()).toBe('echo hello'));
  const broken = once(socket, 'error');
  proxy.reset();
  expect((await broken)[0]).toMatchObject({ code: 'ECONNRESET' });
  await eventually(() => expect(atServer[0]?.destroyed).toBe(true));
});

test('a connection that ends during a black hole ends for the other side afterwards', async () => {
  const { socket, heard } = await client();
  socket.write('hello');
  await eventually(() => expect(heard()).toBe('echo hello'));
  proxy.blackHole();
  socket.destroy();
  await once(socket, 'close');
  proxy.heal();
  await eventually(() => expect(atServer[0]?.destroyed).toBe(true));
});
