import type { OpenAI } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import type { RunnableToolFunctionWithParse } from 'openai/lib/RunnableFunction';
import type { ChatCompletionCreateParamsNonStreaming } from 'openai/resources/chat/completions';
import { z } from 'zod';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** OpenAI's own SDK, unmodified but for its base URL: chat completions that are not streamed. */

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance({ headersMs: 30_000 });
  ({ client } = openSdk(instance.url));
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

const asks = (
  content: string,
  more: Partial<ChatCompletionCreateParamsNonStreaming> = {},
): ChatCompletionCreateParamsNonStreaming => ({
  model: 'o3',
  messages: [{ role: 'user', content }],
  ...more,
});
const purchases = (): number => instance.simulator.ledger.totals().purchases;
const responseIdOf = (id: string): string => id.replace('chatcmpl-', 'resp_');
const NOW = {
  type: 'function' as const,
  function: { name: 'now', parameters: { type: 'object', properties: { zone: { type: 'string' } } } },
};

describe('a chat completion', () => {
  it('is a response like any other, and a job on every list', async () => {
    const completion = await client.chat.completions.create(asks('Chat?', { metadata: { mine: 'yes' } }));
    const response = await client.responses.retrieve(responseIdOf(completion.id));
    const { input_tokens = 0, output_tokens = 0, total_tokens = 0 } = response.usage ?? {};
    expect(completion).toMatchObject({
      ...{ object: 'chat.completion', created: response.created_at, model: response.model },
      ...{ service_tier: response.service_tier, metadata: { mine: 'yes' } },
      choices: [
        {
          ...{ index: 0, finish_reason: 'stop', logprobs: null },
          message: { role: 'assistant', content: response.output_text, refusal: null },
        },
      ],
      usage: { prompt_tokens: input_tokens, completion_tokens: output_tokens, total_tokens },
    });
    expect(response.output_text).toContain('Chat?');
    const id = responseIdOf(completion.id).replace('resp_', 'job_');
    const { body } = await call(instance.url, 'GET', '/jobs?q=Chat');
    expect(body).toMatchObject({ jobs: [{ id, question: 'Chat?', status: 'completed' }] });
  });

  it('of three turns has system messages in their place', async () => {
    const { choices } = await client.chat.completions.create({
      model: 'o3',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'One?' },
        { role: 'assistant', content: 'One.' },
        { role: 'developer', content: 'Be briefer.' },
        { role: 'user', content: [{ type: 'text', text: 'Two?' }] },
      ],
    });
    expect(choices[0]?.message.content).toContain('Two?');
    const [bought] = instance.simulator.ledger.entries();
    expect(bought?.question).toBe('Two?');
  });

  it('of a health check takes fewer tokens than the upstream', async () => {
    const { choices } = await client.chat.completions.create(asks('Alive?', { max_tokens: 1 }));
    expect(choices[0]).toMatchObject({
      finish_reason: 'length',
      message: { role: 'assistant', content: '' },
    });
  });

  it('is parsed into what a schema asks for', async () => {
    const format = zodResponseFormat(z.object({ city: z.string(), warm: z.boolean() }), 'weather');
    const { choices } = await client.chat.completions.parse(asks('Weather?', { response_format: format }));
    expect(choices[0]?.message.parsed).toEqual({ city: expect.any(String), warm: true });
  });

  it('has the refusal of the model', async () => {
    const { choices } = await client.chat.completions.create(
      asks('Refuse?', { metadata: { sim: 'refusal' } }),
    );
    expect(choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: null, refusal: expect.stringContaining('I decline to answer') },
    });
  });

  it('whose usage is unknown has none', async () => {
    const completion = await client.chat.completions.create(
      asks('Usage?', { metadata: { sim: 'usage_null' } }),
    );
    expect(completion).not.toHaveProperty('usage');
  });

  it('calls a tool, takes its output, and answers, with reasoning', async () => {
    const asked = asks('What time is it?', { tools: [NOW], reasoning_effort: 'high' });
    const first = await client.chat.completions.create({ ...asked, tool_choice: 'required' });
    const [choice] = first.choices;
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
    const [called] = choice?.message.tool_calls ?? [];
    expect(called).toMatchObject({ type: 'function', function: { name: 'now' } });
    if (choice === undefined || called === undefined) throw new Error('expected a call');
    const output = { role: 'tool' as const, tool_call_id: called.id, content: 'Noon it is' };
    const second = await client.chat.completions.create({
      ...asked,
      messages: [...asked.messages, choice.message, output],
      tool_choice: 'none',
    });
    expect(second.choices[0]?.message.content).toContain('Noon it is');
    expect(purchases()).toBe(2);
  });

  it('runs the tools of the SDK’s helper', async () => {
    const heard: unknown[] = [];
    const tool: RunnableToolFunctionWithParse<object> = {
      type: 'function',
      function: {
        ...NOW.function,
        description: 'Tells the time',
        parse: (text) => JSON.parse(text) as object,
        function(input) {
          heard.push(input);
          return 'noon';
        },
      },
    };
    const runner = client.chat.completions.runTools({
      ...asks('Run?'),
      tool_choice: { type: 'function', function: { name: 'now' } },
      tools: [tool],
    });
    await runner.done();
    expect(heard).toEqual([{ zone: 'simulated' }]);
  });

  it('with images, files and custom tools reaches the upstream', async () => {
    const { choices } = await client.chat.completions.create({
      model: 'o3',
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is it?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,aaaa' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,aaaa' } },
          ],
        },
      ],
      tools: [{ type: 'custom', custom: { name: 'free' } }],
      reasoning_effort: 'low',
      seed: 7,
    });
    expect(choices[0]?.message.content).toContain('What is it?');
  });
});

describe('a chat completion that does not get an answer', () => {
  const fault = (sim: string, more: object = {}) => ({ metadata: { sim, sim_retry_after_ms: '1', ...more } });
  it.each<[string, object, number, object]>([
    ['what cannot be carried', { stop: 'END' }, 400, { param: 'stop', code: 'unsupported_parameter' }],
    ['an unknown parameter', { input: 'Why?' }, 400, { param: 'input', code: 'unknown_parameter' }],
    ['an unknown model', { model: 'gpt-2' }, 404, { param: 'model', code: 'model_not_found' }],
    ['bad metadata', { metadata: { a: 1 } }, 400, { param: 'metadata.a' }],
    ['a refusal of the upstream', fault('400'), 400, { code: 'invalid_value' }],
    [
      'a response that fails',
      fault('failed', { sim_code: 'invalid_prompt' }),
      400,
      { code: 'invalid_prompt' },
    ],
    ['an upstream that is always overloaded', fault('503'), 503, { type: 'service_unavailable_error' }],
  ])('because of %s is an error at the first try', async (what, more, status, expected) => {
    const { client: own, tries } = openSdk(instance.url);
    const asked = own.chat.completions.create({ ...asks(what), ...more } as never);
    await expect(asked).rejects.toMatchObject({ status, ...expected });
    expect(tries).toHaveLength(1);
  });

  it('because its job was cancelled is a conflict', async () => {
    const { client: own, tries } = openSdk(instance.url);
    const asked = own.chat.completions.create(asks('Cancel?', { metadata: { sim: 'stall' } }));
    const outcome = expect(asked).rejects.toMatchObject({ status: 409, code: 'cancelled' });
    const id = await eventually(async () => {
      const { body } = await call(instance.url, 'GET', '/jobs?q=Cancel&status=active');
      return z.object({ jobs: z.tuple([z.looseObject({ id: z.string() })]) }).parse(body).jobs[0].id;
    });
    await call(instance.url, 'POST', `/jobs/${id}/cancel`);
    await outcome;
    expect(tries).toHaveLength(1);
  });

  it('leaves no job when it is refused at the door', async () => {
    const before = await call(instance.url, 'GET', '/jobs');
    await expect(client.chat.completions.create(asks('No job?', { n: 2 }))).rejects.toThrow(
      '`n` cannot be carried',
    );
    expect((await call(instance.url, 'GET', '/jobs')).body).toEqual(before.body);
  });
});

it.each<[string, (its: OpenAI) => Promise<unknown>]>([
  ['the list', (its) => its.chat.completions.list()],
  ['one of them', (its) => its.chat.completions.retrieve('chatcmpl-1')],
  ['its messages', (its) => its.chat.completions.messages.list('chatcmpl-1')],
  ['a change of one', (its) => its.chat.completions.update('chatcmpl-1', { metadata: null })],
  ['the deletion of one', (its) => its.chat.completions.delete('chatcmpl-1')],
])('of stored chat completions, %s is a 404 that names the route to use', async (_what, read) => {
  await expect(read(client)).rejects.toMatchObject({
    status: 404,
    message: expect.stringContaining('/v1/responses/resp_X'),
  });
});
