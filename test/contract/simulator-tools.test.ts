import { Ajv } from 'ajv';
import OpenAI from 'openai';
import type {
  Response,
  ResponseCreateParamsNonStreaming,
  ResponseInputItem,
  Tool,
  ToolChoiceAllowed,
} from 'openai/resources/responses/responses';
import { createSimulator, type Simulator } from '../../simulator/simulator.ts';
import { collect, refusal } from './simulator-world.ts';

const WEATHER = {
  type: 'object',
  properties: {
    city: { type: 'string', minLength: 12 },
    days: { type: 'array', items: { type: 'integer', minimum: 1 }, minItems: 2 },
  },
  required: ['city', 'days'],
  additionalProperties: false,
};
const TOOLS: Tool[] = [
  { type: 'function', name: 'clock', parameters: { type: 'object', properties: {} }, strict: false },
  { type: 'function', name: 'weather', parameters: WEATHER, strict: true },
  { type: 'custom', name: 'code' },
  {
    type: 'custom',
    name: 'plate',
    format: { type: 'grammar', syntax: 'regex', definition: '[A-Z]{2}-\\d{3}' },
  },
];

let simulator: Simulator;
let client: OpenAI;
beforeAll(async () => {
  simulator = createSimulator({ thinkMs: 0 });
  const { url } = await simulator.listen(0);
  client = new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 });
});
afterAll(() => simulator.close());

const ask = (
  input: string | ResponseInputItem[],
  more: Partial<ResponseCreateParamsNonStreaming> = {},
): Promise<Response> => client.responses.create({ model: 'o3', input, tools: TOOLS, ...more });

/** Each call of a response, as its name and what it is called with. */
const callsOf = ({ output }: Response): [name: string, input: string][] =>
  output.flatMap((item): [string, string][] => {
    if (item.type === 'function_call') return [[item.name, item.arguments]];
    return item.type === 'custom_tool_call' ? [[item.name, item.input]] : [];
  });
const namesOf = (response: Response): string[] => callsOf(response).map(([name]) => name);

/** The caller's answers to all calls of a response. */
const answersTo = ({ output }: Response, answer: (name: string) => string): ResponseInputItem[] =>
  output.flatMap((item): ResponseInputItem[] => {
    if (item.type === 'function_call')
      return [{ type: 'function_call_output', call_id: item.call_id, output: answer(item.name) }];
    if (item.type === 'custom_tool_call')
      return [{ type: 'custom_tool_call_output', call_id: item.call_id, output: answer(item.name) }];
    return [];
  });

describe('the simulator as an agent’s model', () => {
  it('calls a tool that the question names, and then answers with what the tool said', async () => {
    const question = 'Please call weather and tell me.';
    const called = await ask(question);
    expect(called.status).toBe('completed');
    expect(called.output.map(({ type }) => type)).toEqual(['reasoning', 'function_call']);
    expect(namesOf(called)).toEqual(['weather']);
    expect(new Ajv().validate(WEATHER, JSON.parse(callsOf(called)[0]?.[1] ?? ''))).toBe(true);

    const outputs = answersTo(called, () => 'snow, 3 degrees below 0');
    const whole = await ask([
      { role: 'user', content: question },
      ...(called.output as ResponseInputItem[]),
      ...outputs,
    ]);
    expect(namesOf(whole)).toEqual([]);
    expect(whole.output_text).toContain('The tool weather answered: snow, 3 degrees below 0');
    expect(whole.output_text).toContain(question);
    const linked = await ask(outputs, { previous_response_id: called.id });
    expect(linked.output_text).toBe(whole.output_text);
  });

  it.each([
    ['nothing', 'What is the weather?', []],
    ['an unknown tool', 'Call wheather.', []],
    ['one tool', 'Use the tool `clock`.', [['clock', '{}']]],
    [
      'given arguments',
      'Call weather with {"city": "}", "days": []} now.',
      [['weather', '{"city": "}", "days": []}']],
    ],
    [
      'arguments with such words',
      'Call weather with {"city": "call clock"}.',
      [['weather', '{"city": "call clock"}']],
    ],
    ['a custom tool', 'Run code with `print(1)`.', [['code', 'print(1)']]],
    ['a custom tool without an input', 'Run code.', [['code', 'simulated']]],
    ['a custom tool with a pattern', 'call plate', [['plate', expect.stringMatching(/^[A-Z]{2}-\d{3}$/)]]],
    [
      'two tools',
      'Call clock and call code with `x`.',
      [
        ['clock', '{}'],
        ['code', 'x'],
      ],
    ],
    [
      'one tool twice',
      'Call code with `1`, call code with `2`.',
      [
        ['code', '1'],
        ['code', '2'],
      ],
    ],
    ['one tool after another', 'Call clock, then call code.', [['clock', '{}']]],
  ])('reads %s in a question', async (_, question, calls) => {
    expect(callsOf(await ask(question))).toEqual(calls);
  });

  it('makes later calls when those before them have been answered', async () => {
    const first = await ask('Call clock and call weather, then call code.');
    expect(namesOf(first)).toEqual(['clock', 'weather']);
    const second = await ask(
      answersTo(first, (name) => `${name} is done`),
      { previous_response_id: first.id },
    );
    expect(namesOf(second)).toEqual(['code']);
    const third = await ask(
      answersTo(second, () => 'ran'),
      { previous_response_id: second.id },
    );
    expect(namesOf(third)).toEqual([]);
    for (const words of [
      'clock answered: clock is done',
      'weather answered: weather is done',
      'code answered: ran',
    ]) {
      expect(third.output_text).toContain(words);
    }
    const fresh = await ask('And now?', { previous_response_id: third.id });
    expect(fresh.output_text).not.toContain('answered');
  });

  it('makes one call at a time without parallel_tool_calls', async () => {
    const alone = { parallel_tool_calls: false };
    const first = await ask('Call clock and call code.', alone);
    expect(namesOf(first)).toEqual(['clock']);
    const second = await ask(
      answersTo(first, () => '12:00'),
      { ...alone, previous_response_id: first.id },
    );
    expect(namesOf(second)).toEqual(['code']);
  });

  const allowed = (mode: 'auto' | 'required') =>
    ({ type: 'allowed_tools', mode, tools: [{ type: 'custom', name: 'code' }] }) as ToolChoiceAllowed;
  it.each<
    [
      title: string,
      question: string,
      choice: NonNullable<ResponseCreateParamsNonStreaming['tool_choice']>,
      calls: string[],
    ]
  >([
    ['none', 'Call clock.', 'none', []],
    ['auto', 'Call clock.', 'auto', ['clock']],
    ['required', 'Call code.', 'required', ['code']],
    ['required, with a question that names no tool', 'Go.', 'required', ['clock']],
    ['a function', 'Call clock.', { type: 'function', name: 'weather' }, ['weather']],
    ['a custom tool', 'Go.', { type: 'custom', name: 'code' }, ['code']],
    ['allowed tools', 'Call clock, call code.', allowed('auto'), ['code']],
    ['allowed tools, with a question that names none of them', 'Call clock.', allowed('auto'), []],
    ['one of the allowed tools', 'Call clock.', allowed('required'), ['code']],
  ])('follows the choice of %s', async (_, question, tool_choice, calls) => {
    expect(namesOf(await ask(question, { tool_choice }))).toEqual(calls);
  });

  it.each<[title: string, create: () => Promise<unknown>, message: RegExp]>([
    [
      'a choice that is not among the tools',
      () => ask('x', { tool_choice: { type: 'function', name: 'other' } }),
      /Tool choice 'other' not found/,
    ],
    [
      'an output without its call',
      () => ask([{ type: 'function_call_output', call_id: 'call_1', output: '' }]),
      /No tool call found .* call_1/,
    ],
    [
      'a call without its output',
      () =>
        ask([
          { type: 'function_call', call_id: 'call_2', name: 'clock', arguments: '{}' },
          { role: 'user', content: 'x' },
        ]),
      /No tool output found .* call_2/,
    ],
    [
      'a response that goes on from a call without its output',
      async () => ask('x', { previous_response_id: (await ask('Call clock.')).id }),
      /No tool output found/,
    ],
  ])('refuses %s, as OpenAI does', async (_, create, message) => {
    expect(await refusal(create())).toMatchObject({ status: 400, message: expect.stringMatching(message) });
  });

  it('streams calls in parts, one after the other', async () => {
    const stream = await client.responses.create({
      model: 'o3',
      input: `Call weather, call code with \`${'print(1); '.repeat(20)}\`.`,
      tools: TOOLS,
      stream: true,
      metadata: { sim_think_ms: '100' },
    });
    const events = await collect(stream);
    const typesOf = (index: number): string[] =>
      events.flatMap((event) =>
        'output_index' in event && event.output_index === index ? [event.type] : [],
      );
    expect(new Set(typesOf(1))).toEqual(
      new Set(
        ['added', 'done']
          .map((end) => `response.output_item.${end}`)
          .concat(['delta', 'done'].map((end) => `response.function_call_arguments.${end}`)),
      ),
    );
    expect(
      typesOf(2).filter((type) => type === 'response.custom_tool_call_input.delta').length,
    ).toBeGreaterThan(3);
    const done = events.flatMap((event) => (event.type === 'response.output_item.done' ? [event.item] : []));
    const last = events.at(-1);
    if (last?.type !== 'response.completed') throw new Error('expected the response to complete');
    expect(done).toEqual(last.response.output);
    const texts = [1, 2].map((index) =>
      events
        .map((event) =>
          'delta' in event && 'output_index' in event && event.output_index === index ? event.delta : '',
        )
        .join(''),
    );
    expect(texts).toEqual(callsOf(last.response).map(([, input]) => input));
    expect(new Set(events.map(({ sequence_number }) => sequence_number)).size).toBe(events.length);
  });

  it('cuts a call that max_output_tokens leaves too little room for', async () => {
    const small = await ask(`Call code with \`${'many words '.repeat(20)}\`, call clock.`, {
      max_output_tokens: 20,
      reasoning: { effort: 'none' },
    });
    expect(small).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      usage: { output_tokens: 20 },
      output: [{ type: 'custom_tool_call', status: 'incomplete', input: 'many words '.repeat(10) }],
    });
  });

  it('bills what earlier responses hold as input again', async () => {
    const first = await ask('Call clock.');
    const second = await ask(
      answersTo(first, () => '12:00'),
      { previous_response_id: first.id },
    );
    const third = await ask('And now?', { previous_response_id: second.id });
    const input = [first, second, third].map(({ usage }) => usage?.input_tokens ?? 0);
    const output = [first, second].map(
      ({ usage }) => (usage?.output_tokens ?? 0) - (usage?.output_tokens_details.reasoning_tokens ?? 0),
    );
    expect(input[1]).toBeGreaterThan((input[0] ?? 0) + (output[0] ?? 0));
    expect(input[2]).toBeGreaterThan((input[1] ?? 0) + (output[1] ?? 0));
  });

  it('answers in the schema of a structured output after its tools', async () => {
    const schema = {
      type: 'object',
      properties: { n: { type: 'integer', minimum: 3 } },
      required: ['n'],
      additionalProperties: false,
    };
    const text = { format: { type: 'json_schema', name: 'answer', schema, strict: true } } as const;
    const called = await ask('Call clock.', { text });
    expect(namesOf(called)).toEqual(['clock']);
    const answered = await ask(
      answersTo(called, () => '12:00'),
      { text, previous_response_id: called.id },
    );
    expect(JSON.parse(answered.output_text)).toEqual({ n: 3 });
  });
});
