import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, reached, viewOf } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** A name that only the proxy knows. */
const UPSTREAM = 'http://upstream.invalid/v1';

describe('a proxy on the way to the upstream', () => {
  let instance: Instance;
  let server: Server;
  let refuses = false;
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  beforeAll(async () => {
    server = createServer((_request, response) => response.writeHead(405).end());
    // A tunnel to the simulator, whatever its name is.
    server.on('connect', ({ url = '', headers }, client: Socket) => {
      asked.push(`${url} ${headers['proxy-authorization']}`);
      if (refuses) {
        client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
        return;
      }
      const upstream = connect(Number(new URL(instance.upstreamUrl).port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        upstream.pipe(client).pipe(upstream);
      });
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const http = `http://us:er@127.0.0.1:${(server.address() as AddressInfo).port}`;
    const proxy = { http, https: undefined, except: 'other.invalid' };
    instance = await startInstance({ upstream: { baseUrl: UPSTREAM, proxy }, producerUpstream: null });
  });
  afterAll(async () => {
    await instance.stop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('carries creates, streams and cancels', async () => {
    const { id } = await enqueue(instance.url, { question: 'Through a tunnel?' });
    expect(await reached(instance.url, id, 'completed')).toMatchObject({ purchases: 1 });
    const { id: long } = await enqueue(instance.url, {
      question: 'For long?',
      metadata: { sim_think_ms: '60000' },
    });
    await eventually(async () => expect(await viewOf(instance.url, long)).toMatchObject({ purchases: 1 }));
    await call(instance.url, 'POST', `/jobs/${long}/cancel`);
    await reached(instance.url, long, 'cancelled');
    const credentials = `Basic ${Buffer.from('us:er').toString('base64')}`;
    expect(new Set(asked)).toEqual(new Set([`upstream.invalid:80 ${credentials}`]));
  });

  it('lets jobs wait while it refuses, and nothing is uncertain', async () => {
    refuses = true;
    for (const socket of sockets) socket.destroy();
    const before = asked.length;
    const { id } = await enqueue(instance.url, { question: 'And if it refuses?' });
    await eventually(async () => expect(asked.length).toBeGreaterThan(before));
    refuses = false;
    expect(await reached(instance.url, id, 'completed')).toMatchObject({
      purchases: 1,
      uncertain_purchases: 0,
    });
  });
});
