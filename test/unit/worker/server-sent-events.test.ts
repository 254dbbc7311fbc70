import { Readable } from 'node:stream';
import type { Reply } from '../../../worker/upstream/http/exchange.ts';
import { bodyOf, type SseMessage } from '../../../worker/upstream/http/server-sent-events.ts';
import { endOf, STREAM_DONE, streamEvents } from '../../../worker/upstream/stream-events.ts';

const never = new AbortController().signal;
const whole = { largestBytes: 100_000_000, masked: (text: string) => text };

function reply(
  pieces: readonly (string | Uint8Array)[],
  type: string | null = 'text/event-stream',
): Pick<Reply, 'headers' | 'body'> {
  const body = Readable.from(pieces.map((piece) => Buffer.from(piece)));
  return { headers: new Headers(type === null ? {} : { 'content-type': type }), body };
}

async function messagesIn(...pieces: (string | Uint8Array)[]): Promise<SseMessage[]> {
  const body = await bodyOf(reply(pieces), never, whole);
  if (body.kind !== 'events') throw new Error(`expected events, got ${body.text}`);
  const messages: SseMessage[] = [];
  for await (const message of body.messages) messages.push(message);
  return messages;
}

const datasIn = async (...pieces: (string | Uint8Array)[]): Promise<(string | undefined)[]> =>
  (await messagesIn(...pieces)).map(({ data }) => data);

describe('a stream of messages', () => {
  const text = 'data: {"größe":"🚀"}\n\ndata: two\r\rdata: three\r\n\r\nevent: last\ndata: cut off';

  it.each([1, 2, 3, 7, 1000])('is the same in pieces of %d bytes', async (length) => {
    const bytes = Buffer.from(text);
    const pieces: Buffer[] = [];
    for (let i = 0; i < bytes.length; i += length) pieces.push(bytes.subarray(i, i + length));
    expect(await messagesIn(...pieces)).toEqual([
      { name: undefined, data: '{"größe":"🚀"}' },
      { name: undefined, data: 'two' },
      { name: undefined, data: 'three' },
      { name: 'last', data: 'cut off' },
    ]);
  });

  it('reads a message of many thousand pieces in a moment', async () => {
    const pieces = ['data: ', ...Array.from({ length: 20_000 }, () => 'x'.repeat(400)), '\n\n'];
    // Time of the processor, because a busy machine lets a test wait.
    const before = process.cpuUsage();
    expect((await datasIn(...pieces))[0]).toHaveLength(8_000_000);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(10);
  });

  it('has its lines joined, and tells a comment from data', async () => {
    expect(await datasIn(': hello\n\ndata: one\ndata:two\nid: 7\n\n')).toEqual([undefined, 'one\ntwo']);
  });

  it('may lack the blank lines between its messages', async () => {
    expect(await datasIn('data: {"a":1}\ndata: {"b":2}\n')).toEqual(['{"a":1}', '{"b":2}']);
    expect(await messagesIn('event: a\ndata: {"a":1}\nevent: b\ndata: {"b":2}\n')).toEqual([
      { name: 'a', data: '{"a":1}' },
      { name: 'b', data: '{"b":2}' },
    ]);
  });

  it('may begin with a byte order mark', async () => {
    expect(await datasIn('\ufeffdata: 1\n\n')).toEqual(['1']);
  });
});

describe('the body of a reply', () => {
  it.each([
    ['text/plain', 'data: {}\n\n', 'events'],
    ['application/json', ': hello\n\ndata: {}\n\n', 'events'],
    [null, 'event: response.created\ndata: {}\n\n', 'events'],
    ['text/event-stream', '  {"id": 1}', 'json'],
    ['application/json', '\n\n {"id": 1}', 'json'],
    ['text/html', '<html>', 'json'],
    ['text/event-stream', '<html>', 'json'],
    ['text/plain', 'upstream error', 'json'],
    ['text/plain', '', 'json'],
    ['text/event-stream', '', 'events'],
  ])('of the type %s that begins with %j is read as %s', async (type, text, kind) => {
    for (const pieces of [[text], [...text]]) {
      const body = await bodyOf(reply(pieces, type), never, whole);
      expect(body.kind).toBe(kind);
      if (body.kind === 'json') expect(body.text).toBe(text.trimStart());
    }
  });

  it('is read in a moment behind many megabytes of spaces', async () => {
    const spaces = Array.from({ length: 1000 }, () => ' '.repeat(20_000));
    const startedAt = performance.now();
    expect(await bodyOf(reply([...spaces, '{"id": 1}'], null), never, whole)).toMatchObject({
      text: '{"id": 1}',
    });
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});

describe('the events of a stream', () => {
  const eventsIn = async (messages: readonly SseMessage[], cursor?: number) => {
    async function* all(): AsyncGenerator<SseMessage> {
      yield* messages;
    }
    const errorOf = (envelope: object): Error => new Error(JSON.stringify(envelope));
    const events: unknown[] = [];
    for await (const event of streamEvents(all(), errorOf, cursor)) events.push(event);
    return events;
  };
  const message = (data: unknown, name?: string): SseMessage => ({ name, data: JSON.stringify(data) });
  const delta = (sequence_number: number, text = 'a') => ({
    type: 'response.output_text.delta',
    sequence_number,
    delta: text,
  });

  it('have the type of their data, of their name, or of their fields', async () => {
    expect(
      await eventsIn([
        message({ type: 'response.created' }, 'other'),
        message({ item: {} }, 'response.output_item.added'),
        message({ delta: 'a' }, 'message'),
        message({ nothing: true }),
      ]),
    ).toEqual([
      { type: 'response.created' },
      { type: 'response.output_item.added', item: {} },
      { type: 'response.output_text.delta', delta: 'a' },
      { type: '', nothing: true },
    ]);
  });

  it('are signs of life when they have no content', async () => {
    const alive = { type: 'keepalive' };
    const nothing = [undefined, '', 'null', '7', '[]', '{"type": "response.cr'];
    expect(await eventsIn(nothing.map((data) => ({ name: 'ping', data })))).toEqual(nothing.map(() => alive));
    expect(await eventsIn([{ name: undefined, data: ' [DONE]' }])).toEqual([{ type: STREAM_DONE }]);
  });

  it('lose places that are not numbers', async () => {
    const [event] = await eventsIn([
      message({
        type: 'x',
        output_index: null,
        content_index: '0',
        sequence_number: 1.5,
        item_id: 7,
        response: [],
      }),
    ]);
    expect(event).toEqual({ type: 'x' });
  });

  it('come once, when the numbers tell them apart', async () => {
    const twice = [0, 1, 2].flatMap((number) => [message(delta(number)), message(delta(number))]);
    expect(await eventsIn(twice)).toHaveLength(4);
    expect(
      await eventsIn(
        [1, 2, 3, 4].map((number) => message(delta(number))),
        2,
      ),
    ).toEqual([delta(3), delta(4)]);
    // Numbers that never change tell nothing.
    expect(await eventsIn([0, 0, 0].map((number) => message(delta(number))))).toHaveLength(3);
  });

  it('end with an error in an envelope', async () => {
    await expect(eventsIn([message({ error: { code: 'x' } })])).rejects.toThrow('{"code":"x"}');
    expect(await eventsIn([message({ type: 'response.failed', error: { code: 'x' } })])).toHaveLength(1);
  });
});

describe('the end of a stream', () => {
  const known = { id: 'resp_1', model: 'o3', status: 'in_progress' };
  const output = [{ type: 'message' }];

  it.each<[string, object, object | undefined]>([
    [
      'the whole response',
      { type: 'response.completed', response: { ...known, status: 'completed' } },
      { status: 'completed' },
    ],
    [
      'a status that was left behind',
      { type: 'response.completed', response: known },
      { status: 'completed' },
    ],
    [
      'no status',
      { type: 'response.incomplete', response: { output } },
      { id: 'resp_1', model: 'o3', status: 'incomplete', output },
    ],
    [
      'no status, but a reason',
      { type: 'response.completed', response: { incomplete_details: { reason: 'x' } } },
      { status: 'incomplete' },
    ],
    [
      'no response around its fields',
      { type: 'response.completed', output },
      { ...known, status: 'completed', output },
    ],
    ['nothing', { type: 'response.completed' }, { ...known, status: 'completed' }],
    [
      'another name',
      { type: 'response.done', response: { ...known, status: 'failed' } },
      { status: 'failed' },
    ],
    [
      'a cancelled response',
      { type: 'response.failed', response: { ...known, status: 'cancelled' } },
      { status: 'cancelled' },
    ],
    [
      'a failure that says completed',
      { type: 'response.failed', response: { ...known, status: 'completed' } },
      { status: 'failed' },
    ],
    [
      'a type that nobody knows',
      { type: 'response.closed', response: { ...known, status: 'completed' } },
      { status: 'completed' },
    ],
    [
      'a beginning that says completed',
      { type: 'response.created', response: { ...known, status: 'completed' } },
      undefined,
    ],
    ['a part of the answer', { type: 'response.output_text.delta', delta: 'x' }, undefined],
  ])('is read from %s', (_what, event, end) => {
    const read = endOf(event as never, known);
    if (end === undefined) expect(read).toBeUndefined();
    else expect(read).toMatchObject(end);
  });
});
