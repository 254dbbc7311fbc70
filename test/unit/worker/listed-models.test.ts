import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createUpstream, type Upstream } from '../../../worker/upstream/client.ts';

/** What an upstream says of its models, and what is made of it. */
describe('listModels', () => {
  let server: Server;
  let upstream: Upstream;
  let reply: { status: number; type: string; body: string };

  beforeAll(async () => {
    server = createServer((_request, response) => {
      response.writeHead(reply.status, { 'content-type': reply.type }).end(reply.body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    upstream = createUpstream({ apiKey: 'sk-test', baseUrl: `http://127.0.0.1:${port}/v1` });
  });
  afterAll(async () => {
    await upstream.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const listed = (status: number, body: unknown, type = 'application/json') => {
    reply = { status, type, body: typeof body === 'string' ? body : JSON.stringify(body) };
    return upstream.listModels(new AbortController().signal);
  };

  it('returns the shutdown day of each model that has one', async () => {
    const data = [
      { id: 'o3', object: 'model', shutdown_date: '2026-12-11' },
      { id: 'gpt-5.6-sol', object: 'model', shutdown_date: null },
      { id: 'qwen3', object: 'model' },
      { id: 'odd', shutdown_date: 'soon' },
      { id: 'odder', shutdown_date: '2026-13-45' },
      { object: 'model' },
      null,
    ];
    expect(await listed(200, { object: 'list', data })).toEqual([
      { id: 'o3', shutdownDate: '2026-12-11' },
      ...['gpt-5.6-sol', 'qwen3', 'odd', 'odder'].map((id) => ({ id, shutdownDate: undefined })),
    ]);
  });

  it.each([
    ['is a 404', 404, { error: { message: 'no such route', type: 'invalid_request_error' } }],
    ['is a 403', 403, { error: { message: 'not with this key' } }],
    ['is another kind of JSON', 200, { models: ['o3'] }],
    ['is no object', 200, 'null'],
  ])('is unknown where it %s', async (_, status, body) => {
    expect(await listed(status, body)).toBeUndefined();
  });

  it.each([
    ['is overloaded', 503, '{}', 'application/json'],
    ['answers a page', 200, '<html></html>', 'text/html'],
  ])('is to be asked for again where the server %s', async (_, status, body, type) => {
    await expect(listed(status, body, type)).rejects.toMatchObject({ retryable: true });
  });
});
