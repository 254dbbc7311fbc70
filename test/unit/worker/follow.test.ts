import { TerminalError } from '../../../src/errors/failure.ts';
import { type FollowOptions, follow } from '../../../worker/attempt/follow.ts';
import type { StreamEvent } from '../../../worker/upstream/running-response.ts';
import {
  call,
  customCall,
  message,
  reasoning,
  refusal,
  streamOf,
} from '../../support/openai/streamed-items.ts';
import {
  delta,
  done,
  end,
  lost,
  MINUTE,
  outcomeOf,
  scripted,
  stream,
  streamed,
  thinking,
  useFakeTimers,
} from '../../support/worker/scripted-follow.ts';

useFakeTimers();

const SEARCHED = {
  type: 'response.output_item.done',
  output_index: 1,
  item: { id: 'ws_2', type: 'web_search_call' },
};
const thought = reasoning('rs_1', ['Hm.']);

/** What some servers leave out of the events of an item. */
function withoutPlaces(events: StreamEvent[]): StreamEvent[] {
  return events.map(({ output_index: _index, item_id: _id, content_index: _part, ...event }) => event);
}

function withoutDoneOf(index: number, events: StreamEvent[]): StreamEvent[] {
  return events.filter(({ type, output_index: at }) => at !== index || !type.endsWith('item.done'));
}

describe('follow', () => {
  it('ends with the last event of the stream, without a lookup', async () => {
    const { options, resumedAfter, polledAt } = scripted([], []);
    expect(await follow(streamed(stream([delta(3, 'a'), end(4)])), options)).toBe(done);
    expect([resumedAfter, polledAt]).toEqual([[], []]);
  });

  it('takes an event of an unknown type as a sign of life, and writes it down', async () => {
    const { options, progress } = scripted([], []);
    const added: StreamEvent[] = [];
    const add: FollowOptions['eventLogWriter']['add'] = (event, now) => {
      added.push(event);
      progress.push(now);
    };
    const unknown = { type: 'response.compaction.compacting', sequence_number: 3 };
    async function* late(): AsyncGenerator<StreamEvent> {
      jest.setSystemTime(Date.now() + MINUTE);
      yield unknown;
      yield end(4);
    }
    const startedAt = Date.now();
    expect(await follow(streamed(late()), { ...options, eventLogWriter: { add } })).toBe(done);
    expect(added).toEqual([unknown]);
    expect(progress).toMatchObject([{ cursor: 3, seenAt: startedAt + MINUTE }]);
  });

  it('returns a response that has already ended at once', async () => {
    const { options } = scripted([], []);
    expect(await follow({ response: done, background: true, streamed: false }, options)).toBe(done);
    const old = { id: 'resp_1', output: [{ type: 'message' }] };
    expect(await follow({ response: old, background: false, streamed: false }, options)).toBe(old);
  });

  it.each([
    ['cut', lost],
    ['ended too early', undefined],
  ])('resumes a stream that was %s where it broke off, and counts every delta once', async (_how, error) => {
    const { options, resumedAfter, progress } = scripted(
      [stream([delta(6, 'de'), delta(7, 'f'), end(8)])],
      [],
    );
    expect(await follow(streamed(stream([delta(4, 'a'), delta(5, 'bc')], error)), options)).toBe(done);
    expect(resumedAfter).toEqual([5]);
    expect(progress.map(({ cursor, outputCharacters }) => [cursor, outputCharacters])).toEqual([
      [4, 1],
      [5, 3],
      [6, 5],
      [7, 6],
    ]);
  });

  it('continues where an earlier follower stopped', async () => {
    const { options, resumedAfter, progress } = scripted([stream([delta(42, 'x'), end(43)])], []);
    await follow(streamed(), { ...options, cursor: 41, outputCharacters: 100 });
    expect(resumedAfter).toEqual([41]);
    // The first shows that the response was adopted.
    expect(progress).toMatchObject([{ seenAt: expect.any(Number) }, { cursor: 42, outputCharacters: 101 }]);
  });

  it('polls after three streams without a new event', async () => {
    const { options, resumedAfter, polledAt } = scripted(
      [stream([]), stream([], lost), stream([], lost)],
      [thinking, done],
    );
    expect(await outcomeOf(follow(streamed(stream([], lost)), options))).toBe(done);
    expect(resumedAfter).toHaveLength(3);
    expect(polledAt).toHaveLength(2);
  });

  it('goes on resuming a stream that brings new events between its breaks', async () => {
    const pieces = Array.from({ length: 20 }, (_, i) => stream([delta(i + 1, 'x')], lost));
    const { options, resumedAfter } = scripted([...pieces, stream([end(21)])], []);
    expect(await follow(streamed(stream([delta(0, 'x')], lost)), options)).toBe(done);
    expect(resumedAfter).toEqual(Array.from({ length: 21 }, (_, i) => i));
  });

  it.each([
    ['cannot be resumed', [lost]],
    ['is refused', [new TerminalError('invalid_request', 'too old')]],
  ])('polls when a stream %s', async (_why, resumes) => {
    const { options } = scripted(resumes, [done]);
    expect(await outcomeOf(follow(streamed(stream([], lost)), options))).toBe(done);
  });

  it('does not resume the stream of a response that is older than five minutes', async () => {
    const { options, resumedAfter } = scripted([], [done]);
    const createdAt = Date.now() - 5 * MINUTE;
    expect(await outcomeOf(follow(streamed(), { ...options, createdAt }))).toBe(done);
    expect(resumedAfter).toEqual([]);
  });

  it('does not stream a response that was created without a stream', async () => {
    const { options, resumedAfter } = scripted([], [done]);
    const polled = { response: thinking, background: true, streamed: false };
    expect(await outcomeOf(follow(polled, options))).toBe(done);
    expect(resumedAfter).toEqual([]);
  });

  it.each([
    ['cut', [delta(1, 'x')], lost, 'connection_lost'],
    ['ended too early', [delta(1, 'x')], undefined, 'connection_lost'],
    [
      'said to have failed',
      [{ type: 'error', code: 'server_error', message: 'x' }],
      undefined,
      'response_failed',
    ],
    ['said to be refused', [{ type: 'error', code: 'invalid_prompt' }], undefined, 'response_refused'],
  ])('loses a foreground response whose stream was %s', async (_how, events, error, code) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events, error)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ code });
  });

  it.each<[string, StreamEvent[]]>([
    ['after its text', [delta(1, 'x'), { type: 'response.output_text.done', text: 'x' }]],
    ['after its message', [delta(1, 'x'), { type: 'response.output_item.done', item: { type: 'message' } }]],
    ['with [DONE]', [delta(1, 'x'), { type: '[DONE]' }]],
  ])('completes a foreground response whose stream ends cleanly %s', async (_how, events) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ id: 'resp_1', status: 'completed' });
  });

  it.each<[string, StreamEvent[]]>([
    ['[DONE] alone', [{ type: '[DONE]' }]],
    ['its reasoning', [{ type: 'response.output_item.done', item: { type: 'reasoning' } }]],
    ['the beginning of a second text', [{ type: 'response.output_text.done', text: 'x' }, delta(1, 'y')]],
  ])('loses a foreground response whose stream ends with %s', async (_how, events) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ code: 'connection_lost' });
  });

  it.each<[string, StreamEvent[]]>([
    ['a call', streamOf([thought, call('fc_1', 'pay', '{"a":1}')])],
    ['two calls', streamOf([call('fc_1', 'pay', '{}'), customCall('ctc_2', 'note', 'x')])],
    ['a text and a call', streamOf([message('msg_1', 'I pay.'), call('fc_2', 'pay', '{}')])],
    ['a JSON text', streamOf([thought, message('msg_1', '{"a": 1}')])],
    ['a refusal', streamOf([thought, refusal('msg_1', 'Never.')])],
    ['a call without places', withoutPlaces(streamOf([thought, call('fc_1', 'pay', '{}')]))],
    ['an event that is not known', [...streamOf([call('fc_1', 'pay', '{}')]), { type: 'response.bill' }]],
  ])('completes a foreground response whose stream just ends after %s', async (_what, events) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ status: 'completed', output: [] });
  });

  it('takes an answer for incomplete if the message that ends its stream says so', async () => {
    const { options } = scripted([], []);
    const events = streamOf([{ ...message('msg_1', 'It is'), status: 'incomplete' }]);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ status: 'incomplete' });
  });

  it.each<[string, StreamEvent[]]>([
    ['in a call', streamOf([call('fc_1', 'pay', '{"a":1}')]).slice(0, -1)],
    [
      'in the second of two calls',
      streamOf([call('fc_1', 'pay', '{}'), call('fc_2', 'pay', '{}')]).slice(0, -1),
    ],
    [
      'with one of two calls open',
      withoutDoneOf(0, streamOf([call('fc_1', 'a', '{}'), call('fc_2', 'b', '{}')])),
    ],
    ['after half of the arguments of a call', streamOf([call('fc_1', 'pay', '{"a":')])],
    ['after a search', [...streamOf([message('msg_1', 'Let me see.')]), SEARCHED]],
    ['after its reasoning', streamOf([thought])],
  ])('loses a foreground response whose stream just ends %s', async (_where, events) => {
    const { options } = scripted([], []);
    const foreground = { ...streamed(stream(events)), background: false };
    expect(await outcomeOf(follow(foreground, options))).toMatchObject({ code: 'connection_lost' });
  });

  it('polls a background response whose events have no numbers, and does not read its text again', async () => {
    const { options, resumedAfter } = scripted([], [done]);
    const unnumbered: StreamEvent = { type: 'response.output_text.delta', delta: 'x' };
    expect(await outcomeOf(follow(streamed(stream([unnumbered], lost)), options))).toBe(done);
    expect(resumedAfter).toEqual([]);
  });
});
