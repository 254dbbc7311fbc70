import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { APIError, type OpenAI } from 'openai';
import { call } from '../../support/http/http-calls.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** What a client is told that asks for what is not here. */

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ workers: 0 });
});
afterAll(() => instance.stop());

/** Returns the words that a user of the SDK reads. */
async function refused(use: (client: OpenAI) => Promise<unknown>, baseURL = `${instance.url}/v1`) {
  const { client, tries } = openSdk(instance.url, { baseURL });
  const error: unknown = await use(client).catch((reason: unknown) => reason);
  if (!(error instanceof APIError)) throw new Error(`expected a refusal, got ${JSON.stringify(error)}`);
  expect(tries).toHaveLength(1);
  return { status: error.status, message: error.message };
}

describe('other routes of OpenAI', () => {
  it.each<[string, (client: OpenAI) => Promise<unknown>]>([
    ['POST /v1/embeddings', (client) => client.embeddings.create({ model: 'o3', input: 'Why?' })],
    ['GET /v1/files', (client) => client.files.list()],
    ['POST /v1/batches', (client) => client.post('/batches', { body: {} })],
    ['GET /v1/conversations/conv_1', (client) => client.conversations.retrieve('conv_1')],
    ['DELETE /v1/vector_stores/vs_1', (client) => client.vectorStores.delete('vs_1')],
  ])('%s is a 404 that names the upstream', async (route, use) => {
    const { status, message } = await refused(use);
    expect(status).toBe(404);
    expect(message).toContain(`no route ${route}`);
    expect(message).toContain(`Ask the upstream directly (${instance.upstreamUrl})`);
  });
});

describe('a base URL', () => {
  const create = (client: OpenAI) => client.responses.create({ model: 'o3', input: 'Why?' });
  const chat = (client: OpenAI) => client.chat.completions.create({ model: 'o3', messages: [] });

  it.each([
    ['/responses', create],
    ['/chat/completions', chat],
  ])('without /v1 gets a hint at POST %s', async (path, use) => {
    const { status, message } = await refused(use, instance.url);
    expect(status).toBe(404);
    expect(message).toContain(`There is no route POST ${path}: OpenAI's routes are under /v1 here.`);
  });

  it('with /v1 twice gets a hint', async () => {
    const { status, message } = await refused(create, `${instance.url}/v1/v1`);
    expect(status).toBe(404);
    expect(message).toContain('has /v1 twice');
  });
});

describe('another method', () => {
  it.each([
    ['GET', '/v1/responses', 'POST'],
    ['GET', '/v1/responses/compact', 'POST'],
    ['DELETE', '/v1/responses/input_tokens', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['PUT', `/v1/responses/resp_${'0'.repeat(32)}`, 'GET, DELETE, HEAD'],
    ['GET', `/v1/responses/resp_${'0'.repeat(32)}/cancel`, 'POST'],
  ])('%s %s is a 405 that allows %s', async (method, path, allow) => {
    const answer = await fetch(`${instance.url}${path}`, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow]);
    expect(await answer.json()).toMatchObject({
      error: {
        code: 'method_not_allowed',
        message: `${path} was expected to be called with ${allow}, not ${method}`,
      },
    });
  });
});

describe('an upgrade of the connection', () => {
  /** Sends the request of a WebSocket client, and resolves when the server has closed the connection. */
  async function handshake(path: string): Promise<IncomingMessage & { text: string }> {
    const sent = request(`${instance.url}${path}`, {
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': Buffer.alloc(16).toString('base64'),
      },
    });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    response.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await once(response.socket, 'close');
    return Object.assign(response, { text });
  }

  it.each(['/v1/responses', '/v1/realtime?model=o3', '/jobs', '/', '/nowhere'])(
    'to a WebSocket at %s is a 426, and the connection ends',
    async (path) => {
      const { statusCode, headers, text } = await handshake(path);
      expect({ statusCode, upgrade: headers.upgrade }).toEqual({ statusCode: 426, upgrade: 'HTTP/1.1' });
      expect(text).toContain('takes no WebSockets');
      expect(JSON.parse(text)).toMatchObject(
        path.startsWith('/v1') ? { error: { code: 'upgrade_required' } } : { code: 'upgrade_required' },
      );
    },
  );

  it('to HTTP/2, which Java offers with every request, is not taken, and the request is served', async () => {
    const answer = await call(instance.url, 'POST', '/jobs', {
      body: { question: 'Why?' },
      headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAEAAEAA' },
    });
    expect(answer.status).toBe(202);
  });
});
