import { accumulateResponse } from 'openai/lib/responses/ResponseAccumulator';
import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { createEventLogReader, LogBatch } from '../../../src/events/event-log.ts';
import { createReplay, type Replay, type ReplayEvent } from '../../../src/events/replay.ts';
import { joined, type ResponseEvent } from '../../../src/responses/event.ts';
import {
  annotated,
  call,
  customCall,
  message,
  reasoning,
  refusal,
  streamOf,
} from '../../support/openai/streamed-items.ts';

/** What a worker writes and a producer reads: in batches, through Redis' strings. */
function journal(replay: Replay) {
  const read = createEventLogReader();
  return {
    says(events: readonly ResponseEvent[], { attempt = 1, purchase = 1, batch = 3 } = {}): void {
      const writer = new LogBatch();
      for (let from = 0; from < events.length; from += batch) {
        for (const event of events.slice(from, from + batch)) writer.add(event);
        const text = writer.take();
        if (text !== '') replay.add(read(['a', String(attempt), 'p', String(purchase), 'e', text]));
      }
    },
    begins(attempt: number, reason: string, purchase = attempt - 1): void {
      replay.add(read(['a', String(attempt), 'p', String(purchase), 'r', reason]));
    },
  };
}

const eventsIn = (entries: readonly ReplayEvent[]): ResponseEvent[] =>
  entries.flatMap((each) => (each.kind === 'event' ? [each.event] : []));

/** The output as OpenAI's own SDK puts it together from the events. */
function heardBySdk(entries: readonly ReplayEvent[]): unknown[] {
  const created = { type: 'response.created', sequence_number: 0, response: { id: 'resp_1', output: [] } };
  let snapshot = accumulateResponse(created as unknown as ResponseStreamEvent, undefined);
  for (const event of eventsIn(entries)) {
    snapshot = accumulateResponse(event as unknown as ResponseStreamEvent, snapshot as Response);
  }
  return snapshot.output;
}

const textOf = (entries: readonly ReplayEvent[], type = 'response.output_text.delta'): string =>
  eventsIn(entries)
    .filter((event) => event.type === type)
    .map(({ delta }) => String(delta))
    .join('');

const typesIn = (entries: readonly ReplayEvent[]): string[] => eventsIn(entries).map(({ type }) => type);

const responseWith = (output: object[]) => ({ id: 'resp_1', status: 'completed', output });

/** Every kind of item that has a text. */
const OUTPUT = [
  reasoning('rs_1', ['First I weigh it.', 'Then I weigh it again.']),
  message('msg_1', 'It is heavy.'),
  annotated('msg_2', 'See there.', ['https://example.org/a', 'https://example.org/b']),
  refusal('msg_3', 'That I do not say.'),
  call('fc_1', 'weather', '{"city":"Graz"}'),
  customCall('ctc_1', 'shell', 'ls -l'),
];

let replay: Replay;
let worker: ReturnType<typeof journal>;
beforeEach(() => {
  replay = createReplay();
  worker = journal(replay);
});

describe('a replay', () => {
  it('adds nothing at the end of an answer that was streamed whole', () => {
    worker.says(streamOf(OUTPUT));
    const before = replay.events.length;
    replay.complete(responseWith(OUTPUT));
    expect(replay.events).toHaveLength(before);
    expect(heardBySdk(replay.events)).toEqual(OUTPUT);
  });

  it('adds the whole answer at its end when nothing was streamed', () => {
    replay.complete(responseWith(OUTPUT));
    expect(heardBySdk(replay.events)).toEqual(OUTPUT);
    expect(textOf(replay.events)).toBe('It is heavy.Look: See there.');
    expect(typesIn(replay.events)).toEqual(typesIn(onceEach(streamOf(OUTPUT))));
  });

  it('continues at the end where a broken stream stopped', () => {
    const events = streamOf([message('msg_1', 'It is heavy.')]);
    worker.says(upTo(1, events));
    expect(textOf(replay.events)).toBe('It ');
    const before = replay.events.length;
    replay.complete(responseWith([message('msg_1', 'It is heavy.')]));
    expect(typesIn(replay.events.slice(before))).toEqual([
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
    ]);
    expect(textOf(replay.events)).toBe('It is heavy.');
  });

  it('matches a final item under another id with the streamed item whose text it continues', () => {
    worker.says(upTo(1, streamOf([message('msg_streamed', 'It is heavy.')])));
    replay.complete(responseWith([message('msg_final', 'It is heavy.')]));
    expect(textOf(replay.events)).toBe('It is heavy.');
    expect(heardBySdk(replay.events)).toEqual([message('msg_streamed', 'It is heavy.')]);
  });

  describe('over two attempts', () => {
    const lost = message('msg_lost', 'It is light.');
    const final = message('msg_2', 'It is heavy.');

    it('announces the second, and numbers its items from the first one on', () => {
      worker.says(upTo(3, streamOf([reasoning('rs_1', ['Hm.']), lost])));
      worker.begins(2, 'connection_lost: the line went dead');
      worker.says(streamOf([final]), { attempt: 2, purchase: 2 });
      replay.complete(responseWith([final]));
      expect(replay.events.filter(({ kind }) => kind === 'attempt')).toEqual([
        { kind: 'attempt', attempt: 2, reason: 'connection_lost: the line went dead' },
      ]);
      expect(replay.events[replay.latestBegins]).toMatchObject({ kind: 'attempt', attempt: 2 });
      expect(heardBySdk(replay.events.slice(replay.latestBegins))).toEqual([final]);
    });

    it('closes no item of the first, because a caller acts on what is done', () => {
      worker.says(upTo(1, streamOf([call('fc_1', 'pay', '{"amount": 100}')])));
      worker.begins(2, 'response_lost');
      expect(typesIn(replay.events)).not.toContain('response.output_item.done');
      expect(typesIn(replay.events)).not.toContain('response.function_call_arguments.done');
    });

    it('recognizes a response that was bought again within one attempt without an announcement', () => {
      worker.says(upTo(2, streamOf([lost])), { purchase: 1 });
      worker.says(streamOf([final]), { purchase: 2 });
      expect(replay.events.filter(({ kind }) => kind === 'attempt')).toHaveLength(1);
      expect(heardBySdk(replay.events.slice(replay.latestBegins))).toEqual([final]);
    });

    it('repeats an answer that was bought again and not streamed', () => {
      worker.says(upTo(3, streamOf([lost])), { purchase: 1 });
      replay.complete(responseWith([final]));
      expect(replay.events.filter(({ kind }) => kind === 'attempt')).toHaveLength(1);
      expect(heardBySdk(replay.events.slice(replay.latestBegins))).toEqual([final]);
    });

    it('is the same for a reader of the whole log and for a reader that follows it', () => {
      const other = createReplay();
      const second = journal(other);
      for (const [each, batch] of [
        [worker, 1],
        [second, 1000],
      ] as const) {
        each.says(upTo(2, streamOf([lost])), { batch });
        each.begins(2, 'response_failed');
        each.says(streamOf([final]), { attempt: 2, purchase: 2, batch });
      }
      expect(textOf(other.events)).toBe(textOf(replay.events));
      expect(heardBySdk(other.events.slice(other.latestBegins))).toEqual([final]);
    });
  });

  it('has every text once and whole, wherever the stream breaks off', () => {
    const random = randomFrom(7);
    for (let round = 0; round < 300; round += 1) {
      const output = OUTPUT.filter(() => random() < 0.6);
      const events = streamOf(output);
      replay = createReplay();
      const cut = Math.floor(random() * (events.length + 1));
      journal(replay).says(events.slice(0, cut), { batch: 1 + Math.floor(random() * 5) });
      replay.complete(responseWith(output));
      const seen = { round, cut, of: events.length, types: output.map(({ type }) => type) };
      expect({ ...seen, output: heardBySdk(replay.events) }).toEqual({ ...seen, output });
      for (const type of TEXT_TYPES) {
        expect({ ...seen, text: textOf(replay.events, type) }).toEqual({
          ...seen,
          text: textOf(said(events), type),
        });
      }
      const ended = eventsIn(replay.events).filter(({ type }) => type.endsWith('.done'));
      expect(new Set(ended.map(placeOf)).size).toBe(ended.length);
    }
  });
});

describe('two deltas', () => {
  const delta = { type: 'response.output_text.delta', output_index: 0, item_id: 'msg_1', content_index: 0 };

  it('are merged in the same place', () => {
    const both = joined({ ...delta, delta: 'It', logprobs: [1] }, { ...delta, delta: ' is', logprobs: [2] });
    expect(both).toEqual({ ...delta, delta: 'It is', logprobs: [1, 2] });
  });

  it.each([
    ['another part', { content_index: 1 }],
    ['another item', { item_id: 'msg_2' }],
    ['another place of a kind that is not known here', { command_index: 1 }],
  ])('stay two in %s', (_what, other) => {
    expect(joined({ ...delta, delta: 'It' }, { ...delta, ...other, delta: ' is' })).toBeUndefined();
  });

  it('stay apart where they are bytes', () => {
    const audio = { type: 'response.audio.delta', delta: 'AA==' };
    expect(joined(audio, audio)).toBeUndefined();
  });
});

const TEXT_TYPES = [
  'response.output_text.delta',
  'response.refusal.delta',
  'response.reasoning_summary_text.delta',
  'response.function_call_arguments.delta',
  'response.custom_tool_call_input.delta',
];

/** Up to so many deltas, the last of them included. */
function upTo(count: number, events: readonly ResponseEvent[]): ResponseEvent[] {
  const places = events.flatMap(({ type }, i) => (type.endsWith('.delta') ? [i] : []));
  return events.slice(0, (places[count - 1] ?? events.length) + 1);
}

const said = (events: readonly ResponseEvent[]): ReplayEvent[] =>
  events.map((event) => ({ kind: 'event', attempt: 1, event }));

/** A text comes in one delta where it was not streamed. */
function onceEach(events: readonly ResponseEvent[]): ReplayEvent[] {
  const batch = new LogBatch();
  for (const event of events) batch.add(event);
  const read = createEventLogReader();
  return said(read(['a', '1', 'p', '1', 'e', batch.take()]).events);
}

function placeOf({ type, output_index, content_index, summary_index }: ResponseEvent): string {
  return [type, output_index, content_index, summary_index].join(' ');
}

/** Mulberry32: the same numbers on every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
