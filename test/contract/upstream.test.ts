import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../simulator/simulator.ts';
import { findFreePort } from '../../src/redis/embedded/local-port.ts';
import { answerOf } from '../../src/responses/response.ts';
import { follow } from '../../worker/attempt/follow.ts';
import { createUpstream, type Upstream } from '../../worker/upstream/client.ts';
import type { Patience } from '../../worker/upstream/create.ts';
import type { StreamEvent } from '../../worker/upstream/running-response.ts';
import { eventually } from '../support/eventually.ts';
import { later, readSlowly } from '../support/slowly.ts';
import { closeScripted, json, type Step, startScripted } from '../support/worlds/scripted-instance.ts';

/**
 * Tests the worker's side of the Responses API over HTTP and the official SDK: against the simulator, and against
 * servers that behave as the simulator cannot.
 */

/** Longer than a server needs to answer while its process is starting on a busy machine. */
const PATIENCE: Patience = { answerMs: 1500, silenceMs: 200, graceMs: 100, slotMs: 100, lostMs: 300 };
const never = new AbortController().signal;

const asked = { model: 'o3', input: 'Why?' };
const queued = { id: 'resp_1', object: 'response', status: 'queued', background: true, output: [] };
const completed = { ...queued, status: 'completed' };

/** Sends events and leaves the stream open. */
const events =
  (...list: object[]): Step =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    for (const event of list) response.write(`data: ${JSON.stringify(event)}\n\n`);
  };
const endedEvents =
  (...list: object[]): Step =>
  (response, request) => {
    events(...list)(response, request);
    response.end();
  };
const refusal = (status: number, error: object, headers: Record<string, string> = {}): Step =>
  json(status, { error: { message: 'no', type: 'invalid_request_error', ...error } }, headers);

describe('the upstream', () => {
  const upstreams: Upstream[] = [];
  const connect = (baseUrl: string): Upstream => {
    const upstream = createUpstream({ apiKey: 'sk-test', baseUrl, patience: PATIENCE });
    upstreams.push(upstream);
    return upstream;
  };
  afterEach(async () => {
    for (const upstream of upstreams.splice(0)) await upstream.close();
    await closeScripted();
  });

  const scripted = async (...steps: Step[]) => {
    const { url, seen } = await startScripted(...steps);
    return { upstream: connect(`${url}/v1`), seen };
  };
  const bodiesOf = async (...steps: Step[]) => {
    const bodies: Record<string, unknown>[] = [];
    const recording = steps.map(
      (step): Step =>
        (response, request) => {
          const chunks: Buffer[] = [];
          request.on('data', (chunk: Buffer) => chunks.push(chunk));
          request.on('end', () => {
            bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
            step(response, request);
          });
        },
    );
    return { ...(await scripted(...recording)), bodies };
  };
  const collect = async (stream: AsyncIterable<StreamEvent> | undefined): Promise<string[]> => {
    const types: string[] = [];
    for await (const { type } of stream ?? []) types.push(type);
    return types;
  };

  describe('when it is the simulator', () => {
    let simulator: Simulator;
    const start = async (options: SimulatorOptions): Promise<Upstream> => {
      simulator = createSimulator({ thinkMs: 40, ...options });
      return connect((await simulator.listen(0)).url);
    };
    afterEach(() => simulator.close());

    it('a response is created, streamed, replayed, looked up and cancelled', async () => {
      const upstream = await start({ thinkMs: 60_000 });
      const running = await upstream.create(asked, { stream: true, signal: never });
      expect(running).toMatchObject({ background: true, streamed: true, response: { status: 'queued' } });
      const { id } = running.response;
      const again = await upstream.resume(id, 0, never);
      expect((await again.next()).value).toMatchObject({ type: 'response.queued', sequence_number: 1 });
      await again.return(undefined);
      expect(await upstream.retrieve(id, never)).toMatchObject({ id });
      expect(await upstream.cancel(id)).toMatchObject({ id, status: 'cancelled' });
      expect(await collect(running.events)).toContain('response.failed');
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, requests: 4 });
    });

    it('a stream that is cut ten times yields each delta once, and the whole answer', async () => {
      const upstream = await start({ thinkMs: 400 });
      const metadata = { sim: 'cut', sim_events: '6', sim_connections: '10', sim_deltas: '80' };
      const seen: StreamEvent[] = [];
      let connections = 0;
      const watched = async function* (events: AsyncIterable<StreamEvent>): AsyncGenerator<StreamEvent> {
        connections += 1;
        for await (const event of events) {
          seen.push(event);
          yield event;
        }
      };
      const { events, ...running } = await upstream.create(
        { ...asked, metadata },
        { stream: true, signal: never },
      );
      if (events === undefined) throw new Error('expected a stream');
      const response = await follow(
        { ...running, events: watched(events) },
        {
          upstream: {
            ...upstream,
            resume: async (id, after, signal) => watched(await upstream.resume(id, after, signal)),
          },
          signal: never,
          cursor: undefined,
          outputCharacters: 0,
          createdAt: Date.now(),
          stallMs: 60_000,
          openAiEvents: undefined,
          eventLogWriter: { add: () => {} },
          onProgress: async () => {},
        },
      );
      expect(connections).toBe(11);
      // The first event came with the create.
      expect(seen.map((event) => event.sequence_number)).toEqual(seen.map((_event, i) => i + 1));
      const deltas = seen.filter(({ type }) => type === 'response.output_text.delta');
      expect(deltas).toHaveLength(80);
      expect(deltas.map(({ delta }) => delta).join('')).toBe(answerOf(response));
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, polls: 0 });
    });

    it('a background create asks the upstream to store it, and passes on what the caller set', async () => {
      const upstream = await start({});
      await upstream.create(asked, { stream: false, signal: never });
      await upstream.create({ ...asked, store: false }, { stream: false, signal: never });
      expect(simulator.ledger.entries().map(({ fields }) => fields)).toEqual([
        expect.arrayContaining(['model', 'input', 'background', 'stream', 'store']),
        expect.arrayContaining(['model', 'input', 'background', 'stream', 'store']),
      ]);
    });

    it('lookups do not accumulate listeners', async () => {
      const upstream = await start({});
      const { signal } = new AbortController();
      const { response } = await upstream.create(asked, { stream: false, signal });
      for (let i = 0; i < 20; i += 1) await upstream.retrieve(response.id, signal);
      await collect(await upstream.resume(response.id, undefined, signal).catch(() => undefined));
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    });
  });

  it('the client falls back to the foreground after background mode was refused, and stays there', async () => {
    const created = { type: 'response.created', response: { ...queued, background: false } };
    const { upstream, bodies } = await bodiesOf(refusal(400, { param: 'background' }), endedEvents(created));
    for (let i = 0; i < 2; i += 1) {
      const running = await upstream.create(asked, { stream: false, signal: never });
      expect(running).toMatchObject({ background: false, streamed: true });
    }
    expect(bodies.map(({ background, stream, store }) => [background, stream, store])).toEqual([
      [true, true, true],
      [undefined, true, undefined],
      [undefined, true, undefined],
    ]);
  });

  it('one bad request does not make the client give up background mode', async () => {
    const { upstream, bodies } = await bodiesOf(
      refusal(400, { message: 'No such store' }),
      refusal(400, { message: 'No such store' }),
      json(200, queued),
    );
    const options = { stream: false, signal: never };
    await expect(upstream.create(asked, options)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await upstream.create(asked, options)).toMatchObject({ background: true });
    expect(bodies.map(({ background }) => background)).toEqual([true, undefined, true]);
  });

  it('a request with store: false does not make the client give up background mode', async () => {
    const created = { type: 'response.created', response: { ...queued, background: false } };
    const { upstream, bodies } = await bodiesOf(
      refusal(400, { param: 'background', message: 'background needs store' }),
      endedEvents(created),
      json(200, queued),
    );
    await upstream.create({ ...asked, store: false }, { stream: true, signal: never });
    expect(await upstream.create(asked, { stream: true, signal: never })).toMatchObject({ background: true });
    expect(bodies.map(({ background, store }) => [background, store])).toEqual([
      [true, false],
      [undefined, false],
      [true, true],
    ]);
  });

  it('a JSON answer to a stream request is accepted', async () => {
    const { upstream } = await scripted(json(200, completed));
    const running = await upstream.create(asked, { stream: true, signal: never });
    expect(running).toMatchObject({ response: completed, background: true, streamed: true });
    expect(running.events).toBeUndefined();
  });

  it('keepalives before the first event are ignored', async () => {
    const { upstream } = await scripted(
      endedEvents({ type: 'keepalive', sequence_number: 0 }, { type: 'response.created', response: queued }),
    );
    const running = await upstream.create(asked, { stream: true, signal: never });
    expect(running.response).toEqual(queued);
  });

  const html: Step = (response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please log in</html>');
  const halfBody: Step = (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"id": "resp_1"');
  };
  const cutBody: Step = (response, request) => {
    halfBody(response, request);
    setImmediate(() => response.destroy());
  };
  const silent: Step = () => {};

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
    [
      'a redirect',
      (response) => response.writeHead(308, { location: '/v2/responses' }).end(),
      'wrong_address',
    ],
    ['a 503 of a proxy', (response) => response.writeHead(503).end('<html>'), 'upstream_overloaded'],
    ['HTML', html, 'wrong_address'],
    ['plain text', (response) => response.end('It works!'), 'wrong_address'],
    ['JSON of something else', json(200, { models: [] }), 'wrong_address'],
    [
      'an error object',
      json(200, { object: 'error', message: 'No such file', code: 400 }),
      'invalid_request',
    ],
    [
      'an error of money',
      json(200, { error: { message: 'Insufficient credits', code: 402 } }),
      'quota_exhausted',
    ],
    ['an error event', events({ type: 'error', code: 'server_error', message: 'x' }), 'response_failed'],
    ['a refusal event', events({ type: 'error', code: 'insufficient_quota' }), 'quota_exhausted'],
    [
      'a nested error event',
      events({ type: 'error', error: { code: 'invalid_prompt' } }),
      'response_refused',
    ],
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

  it('a silent background stream is ended, and a silent foreground stream is not', async () => {
    const background = await scripted(events({ type: 'response.created', response: queued }));
    const running = await background.upstream.create(asked, { stream: true, signal: never });
    expect(await collect(running.events)).toEqual([]);
    const finish: Step = (response) => response.end('data: {"type":"response.completed"}\n\n');
    const late: Step = (response, request) => {
      events({ type: 'response.created', response: { ...queued, background: false } })(response, request);
      later(3 * PATIENCE.silenceMs, finish)(response, request);
    };
    const foreground = await scripted(refusal(400, { param: 'background' }), late);
    const slow = await foreground.upstream.create(asked, { stream: true, signal: never });
    expect(await collect(slow.events)).toEqual(['response.completed']);
  });

  it('a stream whose reader pauses is not ended', async () => {
    const { upstream } = await scripted(
      endedEvents({ type: 'response.created', response: queued }, { type: 'one' }, { type: 'two' }),
    );
    const { events: stream } = await upstream.create(asked, { stream: true, signal: never });
    if (stream === undefined) throw new Error('expected a stream');
    const read = await readSlowly(stream, 2 * PATIENCE.silenceMs);
    expect(read.map(({ type }) => type)).toEqual(['one', 'two']);
  });

  it('the upstream sees at once that the reader has left', async () => {
    let connection: ServerResponse | undefined;
    const { upstream } = await scripted((response, request) => {
      connection = response;
      events({ type: 'response.created', response: queued })(response, request);
    });
    const controller = new AbortController();
    const { events: stream } = await upstream.create(asked, { stream: true, signal: controller.signal });
    controller.abort();
    await eventually(() => expect(connection?.closed).toBe(true));
    expect(await collect(stream)).toEqual([]);
  });

  it('an aborted create may still return its response id for a moment', async () => {
    const { upstream } = await scripted(later(PATIENCE.graceMs / 2, json(200, queued)));
    const running = await upstream.create(asked, { stream: false, signal: AbortSignal.abort() });
    expect(running.response.id).toBe('resp_1');
  });

  it('an aborted create that returns no id in that time is ended', async () => {
    const { upstream } = await scripted(silent);
    const create = upstream.create(asked, { stream: false, signal: AbortSignal.abort(new Error('stop')) });
    await expect(create).rejects.toMatchObject({ name: 'PurchaseUncertainError' });
  });

  it.each<[string, () => Promise<string>]>([
    ['no server listens', async () => `http://127.0.0.1:${await findFreePort()}/v1`],
    ['fetch refuses the port', async () => 'http://127.0.0.1:9/v1'],
    ['the name does not exist', async () => 'http://no-such-host.invalid/v1'],
    [
      'a plain port is asked for TLS',
      async () => (await startScripted(silent)).url.replace('http:', 'https:'),
    ],
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

  it('a base URL may have a query, which stands behind each path', async () => {
    const { url, seen } = await startScripted(json(200, completed));
    const upstream = connect(`${url}/openai/v1?api-version=preview`);
    await upstream.create(asked, { stream: true, signal: never });
    await upstream.retrieve('resp_1', never);
    expect(seen.map(({ path }) => path)).toEqual([
      '/openai/v1/responses?api-version=preview',
      '/openai/v1/responses/resp_1?api-version=preview',
    ]);
  });

  it('a proxy that wants credentials refuses a create, and is not a broken connection', async () => {
    const { upstream } = await scripted((response) => response.writeHead(407).end('<html>'));
    await expect(upstream.create(asked, { stream: true, signal: never })).rejects.toMatchObject({
      code: 'authentication',
    });
  });

  it.each<[string, Step, boolean]>([
    [
      'LiteLLM’s 500',
      refusal(500, { message: "UnsupportedParamsError: no support for ['background']" }),
      false,
    ],
    ['a 403', refusal(403, { message: 'Background mode is not enabled for your organization' }), false],
    ['a 405', refusal(405, { message: 'Background mode is not supported' }), false],
    [
      'a 403 of streams',
      refusal(403, { message: 'Your organization must be verified to stream this' }),
      true,
    ],
    ['a 500 of streams', refusal(500, { message: 'Streaming is not supported by this deployment' }), true],
  ])('the client learns from %s what a server cannot do', async (_what, refused, background) => {
    const { upstream, bodies } = await bodiesOf(refused, json(200, { ...completed, background }));
    await upstream.create(asked, { stream: true, signal: never });
    await upstream.create(asked, { stream: true, signal: never });
    expect(bodies.map((body) => body['background'] === true && body['stream'])).toEqual([
      true,
      ...Array(2).fill(background ? false : expect.anything()),
    ]);
  });

  it('a 500 that only mentions the background is a failure', async () => {
    const { upstream, seen } = await scripted(refusal(500, { message: 'A background task failed' }));
    await expect(upstream.create(asked, { stream: true, signal: never })).rejects.toMatchObject({
      code: 'upstream_error',
    });
    expect(seen).toHaveLength(1);
  });

  it('a cancel that failed is sent again, but not one that came too late', async () => {
    const busy = refusal(503, {}, { 'retry-after': '3600' });
    const first = await scripted(busy, json(200, { ...queued, status: 'cancelled' }));
    expect(await first.upstream.cancel('resp_1')).toMatchObject({ status: 'cancelled' });
    expect(first.seen.map(({ path }) => path)).toEqual(Array(2).fill('/v1/responses/resp_1/cancel'));
    const second = await scripted(refusal(400, { message: 'Cannot cancel a completed response.' }));
    expect(await second.upstream.cancel('resp_1')).toBeNull();
    expect(second.seen).toHaveLength(1);
  });
});
