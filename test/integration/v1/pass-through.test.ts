import type { OpenAI } from 'openai';
import { eventually } from '../../support/eventually.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { useRecordingWorld } from '../../support/worlds/recording-world.ts';

/** What the upstream is sent, compared with what a caller sent. */

const world = useRecordingWorld();
let client: OpenAI;
beforeAll(() => {
  ({ client } = openSdk(world.instance.url, { apiKey: 'sk-of-the-caller' }));
});

const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const EVERYTHING = {
  model: 'o3',
  input: [
    {
      role: 'user',
      content: [
        { type: 'input_text', text: 'What is in these? Zażółć gęślą jaźń 🌌 \u0000\u2028 "\\' },
        { type: 'input_image', image_url: `data:image/png;base64,${PNG}`, detail: 'high' },
        { type: 'input_file', filename: 'a b.pdf', file_data: `data:application/pdf;base64,${PNG}` },
        { type: 'input_file', file_id: 'file-1' },
      ],
    },
    { type: 'item_reference', id: 'rs_1' },
    { type: 'function_call_output', call_id: 'call_1', output: '{"a": 1.50}' },
    { type: 'something_of_next_year', deep: [[[{ ключ: null }]]] },
  ],
  instructions: 'Be brief.',
  tools: [
    { type: 'function', name: 'f', parameters: { type: 'object', properties: {} } },
    { type: 'mcp', server_label: 'm', server_url: 'https://example.org', require_approval: 'never' },
    { type: 'code_interpreter', container: { type: 'auto' } },
  ],
  tool_choice: 'auto',
  parallel_tool_calls: false,
  reasoning: { effort: 'high', summary: 'auto', of_next_year: 1 },
  text: {
    format: { type: 'json_schema', name: 's', schema: { type: 'object' }, strict: true },
    verbosity: 'low',
  },
  include: ['reasoning.encrypted_content'],
  max_output_tokens: 4000,
  max_tool_calls: 3,
  metadata: { mine: 'yes' },
  previous_response_id: 'resp_somewhere_else',
  prompt_cache_key: 'k',
  safety_identifier: 's',
  service_tier: 'flex',
  truncation: 'auto',
  temperature: 1,
  top_p: 0.5,
  user: null,
  fields_of_next_year: { kept: [1, 'two', null] },
};

describe.each([
  ['in the foreground', {}],
  ['in the foreground, streamed', { stream: true }],
  ['in the background', { background: true }],
  ['in the background, streamed', { background: true, stream: true }],
])('a request %s', (_how, flags) => {
  const sent = { ...EVERYTHING, ...flags };

  it('reaches the upstream as it was sent, except for background and stream', async () => {
    const answer = await client.post<Response>('/responses', { body: sent }).asResponse();
    await answer.text();
    await sold(1);
    const { background, stream, store, ...rest } = bodyOf(0);
    const { background: _background, stream: _stream, ...asked } = sent as Record<string, unknown>;
    expect(rest).toEqual(asked);
    expect(JSON.stringify(rest['input'])).toBe(JSON.stringify(EVERYTHING.input));
    expect({ background, store }).toEqual({ background: true, store: true });
    expect(typeof stream).toBe('boolean');
    expect(world.upstream.received[0]?.headers.authorization).toBe('Bearer sk-of-the-instance');
  });

  it('keeps its store option', async () => {
    const answer = await client
      .post<Response>('/responses', { body: { ...sent, store: false } })
      .asResponse();
    expect(await answer.text()).toContain('"store":false');
    await sold(1);
    expect(bodyOf(0)).toMatchObject({ store: false });
  });
});

it('names earlier responses by the upstream’s ids, however the caller has named them', async () => {
  const { id } = await client.responses.create({ model: 'o3', input: 'First?' });
  const cache = { mode: 'explicit', comparison_response_id: id.replace('resp_', 'job_') };
  const body = { ...EVERYTHING, previous_response_id: id, prompt_cache_options: cache };
  const answer = await client.post<Response>('/responses', { body }).asResponse();
  expect(await answer.json()).toMatchObject({ previous_response_id: id });
  await sold(2);
  expect(bodyOf(1)).toMatchObject({
    previous_response_id: 'resp_upstream1',
    prompt_cache_options: { ...cache, comparison_response_id: 'resp_upstream1' },
  });
});

describe('an answer', () => {
  it('reaches the caller with every field of the upstream’s answer, under an id of this queue', async () => {
    const input = [{ role: 'user' as const, content: 'Back?' }];
    const response = await client.responses.create({ model: 'o3', input, metadata: { mine: 'yes' } });
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      background: false,
      metadata: { mine: 'yes' },
      output_text: 'Noted.',
      news_of_next_year: { kept: true },
      usage: null,
    });
  });
});

function bodyOf(place: number): Record<string, unknown> {
  return JSON.parse(world.upstream.received[place]?.text ?? 'null') as Record<string, unknown>;
}

async function sold(count: number): Promise<void> {
  await eventually(() => expect(world.upstream.received).toHaveLength(count));
}
