import { answerInCompletion, answerInStream, type ChatAnswer } from '../../support/openai/chat-rules.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * Every kind of answer that the simulator gives, in every form in which it streams: what any client needs is
 * in the chat completion, and in each chunk of its stream.
 */

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ simulator: { keepaliveMs: 10 } });
});
afterAll(() => instance.stop());

const tool = (name: string) => ({
  type: 'function',
  function: {
    name,
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
});
const TOOLS = [tool('weather'), tool('clock'), { type: 'custom', custom: { name: 'note' } }];
const SCHEMA = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };

/** A question, and what else its request has. */
interface Kind {
  content: string;
  sim?: string;
  more?: object;
}
const TEXT: Kind = { content: 'Why?' };
const REFUSAL: Kind = { content: 'Why not?', sim: 'refusal' };
const CALLS: Kind = {
  content: 'Please call weather and call clock and call note with `a\nb`.',
  more: { tools: TOOLS },
};
const weather = {
  type: 'function',
  function: { name: 'weather', arguments: expect.stringContaining('city') },
};
const OTHERS: [string, Kind, object][] = [
  [
    'an answer in JSON',
    { content: 'JSON?', more: { response_format: { type: 'json_object' } } },
    { content: '{"simulated":true,"question":"JSON?"}', finishReason: 'stop' },
  ],
  [
    'an answer of a schema',
    {
      content: 'Schema?',
      more: { response_format: { type: 'json_schema', json_schema: { name: 's', schema: SCHEMA } } },
    },
    { content: expect.stringMatching(/^\{"city":".*"\}$/), finishReason: 'stop' },
  ],
  [
    'a forced call',
    { content: 'Forced?', more: { tools: TOOLS, tool_choice: 'required' } },
    { calls: [weather], finishReason: 'tool_calls' },
  ],
  [
    'one call of several that were asked for',
    { ...CALLS, more: { tools: TOOLS, parallel_tool_calls: false } },
    { calls: [weather], finishReason: 'tool_calls' },
  ],
  [
    'a call of a custom tool',
    { content: 'call note with `x`', more: { tools: TOOLS } },
    { calls: [{ type: 'custom', custom: { name: 'note', input: 'x' } }] },
  ],
  [
    'no word, because all tokens went into reasoning',
    { content: 'Incomplete?', sim: 'incomplete' },
    { content: '', finishReason: 'length' },
  ],
  [
    'only its first words',
    { content: 'Short?', more: { max_completion_tokens: 150, reasoning_effort: 'low' } },
    { finishReason: 'length' },
  ],
  ['no usage', { content: 'Usage?', sim: 'usage_null' }, { usage: undefined, finishReason: 'stop' }],
  ['an empty usage', { content: 'Usage?', sim: 'usage_empty' }, { usage: undefined }],
];
const FORMS = [
  ...['', 'no_opening', 'no_indexes', 'no_types', 'no_numbers', 'no_deltas', 'no_end, done', 'end_bare'],
  ...['no_end, no_indexes, no_opening, done', 'no_opening, no_deltas', 'end_in_progress, done', 'twice'],
  ...['noise', 'comments', 'plain_text', 'crlf', 'other_ids', 'output_empty', 'output_half'],
];

async function send({ content, sim = '', more = {} }: Kind, stream: object): Promise<string> {
  const answer = await fetch(`${instance.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: 'o3', messages: [{ role: 'user', content }], ...(sim !== '' && { metadata: { sim } }) },
      ...more,
      ...stream,
    }),
  });
  const text = await answer.text();
  expect({ status: answer.status, text }).toMatchObject({ status: 200 });
  return text;
}

/** Asks whole and streamed, and checks both. @returns the answer without what differs from job to job. */
async function answerTo(kind: Kind): Promise<Omit<ChatAnswer, 'id'>> {
  const [whole, streamed] = await Promise.all([
    send(kind, {}),
    send(kind, { stream: true, stream_options: { include_usage: true } }),
  ]);
  const [{ id: _one, ...one }, { id: _other, ...other }] = [
    answerInCompletion(JSON.parse(whole)),
    answerInStream(streamed),
  ];
  const withoutIds = ({ calls, ...answer }: typeof one) => ({
    ...answer,
    calls: calls.map((call) => ({ ...call, id: 'call' })),
  });
  expect(withoutIds(other)).toEqual(withoutIds(one));
  return one;
}

const alike = (form: string, sim: string | undefined): string => [form, sim].filter(Boolean).join(', ');

it.each(FORMS)('what each client needs is there when the upstream streams with [%s]', async (form) => {
  const ask = ({ sim, ...kind }: Kind) => answerTo({ ...kind, sim: alike(form, sim) });
  // Both change what the response has at its end.
  const refusal = form.startsWith('output_') ? TEXT : REFUSAL;
  const [text, refused, called] = await Promise.all([ask(TEXT), ask(refusal), ask(CALLS)]);
  expect(text).toMatchObject({ finishReason: 'stop', content: expect.stringContaining('Why?') });
  if (refusal === REFUSAL) expect(refused).toMatchObject({ refusal: expect.stringContaining('I decline') });
  expect(called).toMatchObject({
    finishReason: 'tool_calls',
    calls: [
      { type: 'function', function: { name: 'weather', arguments: expect.stringContaining('city') } },
      { type: 'function', function: { name: 'clock' } },
      { type: 'custom', custom: { name: 'note', input: 'a\nb' } },
    ],
  });
});

it.each(OTHERS)('what each client needs is there when the answer has %s', async (_what, kind, expected) => {
  expect(await answerTo(kind)).toMatchObject(expected);
});
