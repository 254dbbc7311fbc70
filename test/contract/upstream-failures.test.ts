import type { ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { findFreePort } from '../../src/redis/embedded/local-port.ts';
import { createUpstream } from '../../worker/upstream/client.ts';
import { eventually } from '../support/eventually.ts';
import {
  asked,
  cutBody,
  endedEvents,
  events,
  halfBody,
  html,
  never,
  refusal,
  silent,
  useUpstreams,
} from '../support/openai/scripted-upstream.ts';
import { json, type Step, startScripted } from '../support/worlds/scripted-instance.ts';

/** What a create or a lookup is taken for that is answered wrongly, or not at all. */

const { connect, scripted } = useUpstreams();

it.each<[string, Step, string]>([
  ['nothing', silent, 'connection_lost'],
  ['an empty body', (response) => response.end(), 'upstream_error'],
  ['half of a JSON', (response) => response.end('{"id": "resp_1"'), 'upstream_error'],
  ['a body that stops', halfBody, 'connection_lost'],
  ['a body that is cut', cutBody, 'connection_lost'],
  ['a stream without events', endedEvents(), 'connection_lost'],
  ['a stream that stays empty', events(), 'connection_lost'],
  ['a stream of something else', events({ type: 'ping' }), 'connection_lost'],
  ['a 5xx of a proxy', (response) => response.writeHead(504).end('<html>'), 'upstream_error'],
  ['a reset', (response) => response.destroy(), 'connection_lost'],
])('a create that is answered with %s is an uncertain purchase', async (_what, step, code) => {
  let connection: ServerResponse | undefined;
  const { upstream } = await scripted((response, request) => {
    connection = response;
    step(response, request);
  });
  await expect(upstream.create(asked, { stream: true, signal: never })).rejects.toMatchObject({
    name: 'PurchaseUncertainError',
    failure: { code },
  });
  // A connection without a reader is closed.
  await eventually(() => expect(connection?.closed).toBe(true));
});

it.each<[string, Step, string]>([
  ['a 5xx of its own', refusal(500, { message: 'The server had an error' }), 'upstream_error'],
  ['a 501', (response) => response.writeHead(501).end(), 'upstream_error'],
  ['a 4xx of a proxy', (response) => response.writeHead(403).end('<html>'), 'wrong_address'],
  ['a redirect', (response) => response.writeHead(308, { location: '/v2/responses' }).end(), 'wrong_address'],
  ['a 503 of a proxy', (response) => response.writeHead(503).end('<html>'), 'upstream_overloaded'],
  ['HTML', html, 'wrong_address'],
  ['plain text', (response) => response.end('It works!'), 'wrong_address'],
  ['JSON of something else', json(200, { models: [] }), 'wrong_address'],
  ['an error object', json(200, { object: 'error', message: 'No such file', code: 400 }), 'invalid_request'],
  [
    'an error of money',
    json(200, { error: { message: 'Insufficient credits', code: 402 } }),
    'quota_exhausted',
  ],
  ['an error event', events({ type: 'error', code: 'server_error', message: 'x' }), 'response_failed'],
  ['a refusal event', events({ type: 'error', code: 'insufficient_quota' }), 'quota_exhausted'],
  ['a nested error event', events({ type: 'error', error: { code: 'invalid_prompt' } }), 'response_refused'],
])('a create that is refused with %s is no purchase', async (_what, step, code) => {
  let connection: ServerResponse | undefined;
  const { upstream } = await scripted((response, request) => {
    connection = response;
    step(response, request);
  });
  await expect(upstream.create(asked, { stream: true, signal: never })).rejects.toMatchObject({ code });
  // A connection without a reader is closed.
  await eventually(() => expect(connection?.closed).toBe(true));
});

it.each<[string, Step, string]>([
  ['HTML', html, 'wrong_address'],
  ['JSON of something else', json(200, { models: [] }), 'wrong_address'],
  ['nothing', silent, 'connection_lost'],
  ['a body that stops', halfBody, 'connection_lost'],
  ['a body that is cut', cutBody, 'connection_lost'],
  ['404', refusal(404, { message: "Response with id 'resp_1' not found." }), 'not_found'],
  ['429', refusal(429, {}, { 'retry-after': '3600' }), 'rate_limited'],
])('a lookup that is answered with %s has the expected outcome', async (_what, step, code) => {
  const { upstream, seen } = await scripted(step);
  await expect(upstream.retrieve('resp_1', never)).rejects.toMatchObject({ code });
  expect(seen).toHaveLength(1);
});

it.each<[string, () => Promise<string>]>([
  ['no server listens', async () => `http://127.0.0.1:${await findFreePort()}/v1`],
  ['fetch refuses the port', async () => 'http://127.0.0.1:9/v1'],
  ['the name does not exist', async () => 'http://no-such-host.invalid/v1'],
  ['a plain port is asked for TLS', async () => (await startScripted(silent)).url.replace('http:', 'https:')],
])('a create is no purchase where %s', async (_, address) => {
  const unreachable = createUpstream({ apiKey: 'sk-test', baseUrl: await address() });
  try {
    const create = unreachable.create(asked, { stream: true, signal: never });
    await expect(create).rejects.toMatchObject({ name: 'RetryableError', code: 'connection_lost' });
  } finally {
    await unreachable.close();
  }
});

it('a create in plain HTTP to a port that speaks TLS is no purchase, and says what is wrong', async () => {
  const closed = createServer((socket) => socket.once('data', () => socket.destroy()));
  // Without a certificate it answers a handshake with an alert, which is TLS, too.
  const tls = createTlsServer({});
  for (const [server, error] of [
    [closed, { name: 'PurchaseUncertainError' }],
    [tls, { code: 'connection_lost', message: expect.stringContaining('should begin with https') }],
  ] as const) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const create = connect(`http://127.0.0.1:${port}/v1`).create(asked, { stream: true, signal: never });
    await expect(create).rejects.toMatchObject(error);
    await new Promise((resolve) => server.close(resolve));
  }
});

it('a create over TLS to a port without TLS, or with a handshake that fails, is no purchase', async () => {
  for (const server of [
    createServer((socket) => socket.once('data', () => socket.destroy())),
    createTlsServer({}),
  ]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const create = connect(`https://127.0.0.1:${port}/v1`).create(asked, { stream: true, signal: never });
    await expect(create).rejects.toMatchObject({ name: 'RetryableError', code: 'connection_lost' });
    await new Promise((resolve) => server.close(resolve));
  }
});

it('a proxy that wants credentials refuses a create, and is not a broken connection', async () => {
  const { upstream } = await scripted((response) => response.writeHead(407).end('<html>'));
  await expect(upstream.create(asked, { stream: true, signal: never })).rejects.toMatchObject({
    code: 'authentication',
  });
});
