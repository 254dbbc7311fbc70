import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../simulator/simulator.ts';
import { answerOf } from '../../src/responses/response.ts';
import { follow } from '../../worker/attempt/follow.ts';
import type { Upstream } from '../../worker/upstream/client.ts';
import type { StreamEvent } from '../../worker/upstream/running-response.ts';
import { eventually } from '../support/eventually.ts';
import {
  asked,
  collect,
  completed,
  endedEvents,
  events,
  never,
  PATIENCE,
  queued,
  refusal,
  silent,
  useUpstreams,
} from '../support/openai/scripted-upstream.ts';
import { later, readSlowly } from '../support/slowly.ts';
import { json, type Step, startScripted } from '../support/worlds/scripted-instance.ts';

/**
 * The worker's side of the Responses API over HTTP and the official SDK: against the simulator, and against
 * servers that behave as the simulator cannot.
 */

const { connect, scripted } = useUpstreams();

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
        isWindowed: false,
        stallMs: 60_000,
        now: () => Date.now(),
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

it('a cancel that failed is sent again, but not one that came too late', async () => {
  const busy = refusal(503, {}, { 'retry-after': '3600' });
  const first = await scripted(busy, json(200, { ...queued, status: 'cancelled' }));
  expect(await first.upstream.cancel('resp_1')).toMatchObject({ status: 'cancelled' });
  expect(first.seen.map(({ path }) => path)).toEqual(Array(2).fill('/v1/responses/resp_1/cancel'));
  const second = await scripted(refusal(400, { message: 'Cannot cancel a completed response.' }));
  expect(await second.upstream.cancel('resp_1')).toBeNull();
  expect(second.seen).toHaveLength(1);
});
