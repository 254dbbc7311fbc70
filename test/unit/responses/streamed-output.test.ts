import type { ResponseEvent } from '../../../src/responses/event.ts';
import { createStreamedOutput } from '../../../src/responses/streamed-output.ts';
import { call, message, reasoning, refusal, streamOf } from '../../support/openai/streamed-items.ts';

const OUTPUT = [
  reasoning('rs_1', ['Hm.']),
  message('msg_1', 'It is heavy.'),
  message('msg_2', 'Very heavy.'),
];

function heard(events: readonly ResponseEvent[]) {
  const streamed = createStreamedOutput();
  return { streamed, events: events.flatMap((event) => streamed.add(event)) };
}

const without = (events: readonly ResponseEvent[], ...fields: string[]): ResponseEvent[] =>
  events.map(
    (event) =>
      Object.fromEntries(Object.entries(event).filter(([name]) => !fields.includes(name))) as ResponseEvent,
  );
const only = (events: readonly ResponseEvent[], pattern: RegExp): ResponseEvent[] =>
  events.filter(({ type }) => pattern.test(type));
const texts = (events: readonly ResponseEvent[]): string =>
  only(events, /output_text\.delta$/)
    .map(({ delta }) => delta)
    .join('');

describe('what was streamed', () => {
  const all = streamOf(OUTPUT);

  it.each([
    ['as OpenAI streams it', all],
    ['without places', without(all, 'output_index', 'content_index', 'summary_index', 'item_id')],
    ['all at index 0', all.map((event) => ({ ...event, output_index: 0 }))],
    ['without deltas', only(all, /(?<!\.delta)$/)],
    ['with the ends of items alone', only(all, /output_item\.done$/)],
    ['with each event but the deltas twice', all.flatMap((e) => (e.type.endsWith('.delta') ? [e] : [e, e]))],
  ])('%s is the whole output, and told once', (_how, events) => {
    const { streamed, events: told } = heard(events);
    expect(streamed.merged([])).toEqual(OUTPUT);
    expect(texts(told)).toBe('It is heavy.Very heavy.');
    expect(streamed.complete(OUTPUT)).toEqual([]);
    const ended = only(told, /\.done$/).map(({ type, output_index, content_index, summary_index }) =>
      [type, output_index, content_index, summary_index].join(' '),
    );
    expect(new Set(ended).size).toBe(ended.length);
  });

  it('by its deltas alone gets the opening and closing events that the server left out', () => {
    const { streamed, events } = heard([
      { type: 'response.output_text.delta', delta: 'It ' },
      { type: 'response.output_text.delta', delta: 'is.' },
    ]);
    expect(events.map(({ type }) => type)).toEqual([
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
    ]);
    const [item] = streamed.merged([]);
    expect(item).toMatchObject({ type: 'message', status: 'completed', content: [{ text: 'It is.' }] });
    expect(streamed.complete([message('msg_9', 'It is.')])?.map(({ type }) => type)).toEqual([
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
    ]);
  });

  it('has the place of each event about a tool, where the server names none', () => {
    const { events } = heard([
      { type: 'response.output_item.added', item: { type: 'mcp_call' } },
      { type: 'response.mcp_call_arguments.delta', delta: '{' },
      { type: 'response.mcp_call.completed' },
      { type: 'response.output_item.done', item: { type: 'mcp_call', id: null } },
      { type: 'response.mcp_call.failed' },
    ]);
    const place = { output_index: 0, item_id: 'item_o3q_0' };
    expect(events).toEqual([
      { type: 'response.output_item.added', output_index: 0, item: { type: 'mcp_call', id: 'item_o3q_0' } },
      { type: 'response.mcp_call_arguments.delta', ...place, delta: '{' },
      { type: 'response.mcp_call.completed', ...place },
      { type: 'response.output_item.done', output_index: 0, item: { type: 'mcp_call', id: 'item_o3q_0' } },
      { type: 'response.mcp_call.failed' },
    ]);
  });

  it('has the name of the function where its arguments end', () => {
    const [added, ...rest] = streamOf([call('fc_1', 'now', '{}')]);
    expect(added).toMatchObject({ item: { name: 'now' } });
    const { events } = heard([added as ResponseEvent, ...without(rest, 'name')]);
    expect(only(events, /arguments\.done$/)).toMatchObject([{ name: 'now', arguments: '{}' }]);
  });

  it('and has no type of its item is a message if its role is that of an assistant', () => {
    const { events } = heard([
      { type: 'response.output_item.added', output_index: 0, item: { role: 'assistant', id: 'm' } },
      { type: 'response.output_text.delta', output_index: 0, delta: 'So.' },
    ]);
    expect(only(events, /output_item/)).toMatchObject([{ item: { id: 'm', type: 'message' } }]);
  });

  it('is added to a final output that lacks it, in its order', () => {
    const { streamed } = heard(all);
    const [first, second, third] = OUTPUT;
    expect(streamed.merged([second])).toEqual(OUTPUT);
    expect(streamed.merged([first, third])).toEqual(OUTPUT);
    expect(streamed.merged([message('msg_1', 'It is'), { ...third, content: [] }])).toEqual(OUTPUT);
  });

  it('is replaced by a final output that has more, or something else', () => {
    const { streamed } = heard(all.slice(0, 9));
    const more = [OUTPUT[0], message('other', 'It is heavy, I think.')];
    expect(streamed.merged(more)).toEqual(more);
    const other = [message('other', 'No.')];
    expect(heard(all).streamed.merged(other)).toEqual(other);
  });

  it('keeps a refusal, and never an incomplete tool call', () => {
    const events = [...streamOf([refusal('msg_1', 'Never.')]), ...streamOf([call('fc_1', 'pay', '{"a":1}')])];
    const { streamed } = heard(without(events.slice(0, -2), 'output_index'));
    expect(streamed.merged([])).toEqual([refusal('msg_1', 'Never.')]);
  });
});
