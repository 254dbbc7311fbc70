import { responseObject } from '../../../producer/v1/responses/response-object.ts';
import { parseExact, stringifyExact } from '../../../src/job/exact-json.ts';
import type { JobView } from '../../../src/job/view.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import { call, message, reasoning } from '../../support/openai/streamed-items.ts';

const HEX = '0123456789abcdef0123456789abcdef';
const job = { id: `job_${HEX}`, model: 'o3', created_at: '2026-11-29T12:00:00.500Z', status: 'completed' };
const request = { model: 'o3', input: 'Why?' };

function shown(
  response: { status?: string; [field: string]: unknown },
  asked: object = {},
  about: object = {},
) {
  const detail = {
    job: { ...job, ...about } as JobView,
    request: { ...request, ...asked },
    refusal: undefined,
    response: { ...response, id: 'resp_upstream', status: response.status ?? 'completed' },
  };
  return responseObject(detail as JobDetail);
}

const failed = (refusal: object) =>
  responseObject({
    job: {
      ...job,
      status: 'failed',
      error: { code: 'response_refused', message: 'no' },
    } as unknown as JobView,
    request,
    refusal: { code: null, type: null, message: 'no', param: null, ...refusal },
    response: undefined,
  });

const outputOf = (...output: unknown[]) => shown({ output })['output'];
const usageOf = (usage: unknown) => shown({ output: [message('msg_1', 'So.')], usage })['usage'];

/** A reply in which OpenAI's types miss nothing. */
const FULL = {
  id: `resp_${HEX}`,
  object: 'response',
  created_at: Date.parse('2026-11-29T12:00:00Z') / 1000,
  status: 'completed',
  background: false,
  error: null,
  incomplete_details: null,
  instructions: null,
  model: 'o3-2025-04-16',
  output: [reasoning('rs_1', ['Hm.']), message('msg_1', 'So.'), call('fc_1', 'now', '{}')],
  parallel_tool_calls: false,
  previous_response_id: null,
  store: true,
  temperature: 0.5,
  tool_choice: 'none',
  tools: [{ type: 'web_search' }],
  top_p: 0.25,
  usage: {
    input_tokens: 10,
    input_tokens_details: { cached_tokens: 4, cache_write_tokens: 3 },
    output_tokens: 20,
    output_tokens_details: { reasoning_tokens: 12 },
    total_tokens: 30,
  },
  metadata: { a: 'b' },
  input_transformations: [{ type: 'reasoning', action: 'removed', reason: 'model_mismatch' }],
};

describe('a full reply', () => {
  it.each([{}, { tools: [{ type: 'function', name: 'f' }], metadata: { c: 'd' }, temperature: 1 }])(
    'is shown as the upstream sent it, in its order, to a caller who asked for %j',
    (asked) => {
      expect(JSON.stringify(shown(FULL, asked))).toBe(JSON.stringify(FULL));
    },
  );

  it('keeps fields that may be null', () => {
    const nulls = { instructions: null, metadata: null, temperature: null, top_p: null, usage: null };
    const asked = { instructions: 'Be brief.', metadata: { a: 'b' }, temperature: 1, top_p: 1 };
    expect(shown({ ...FULL, ...nulls }, asked)).toEqual({ ...FULL, ...nulls });
  });
});

describe('a sparse reply', () => {
  it.each([
    ['{}', {}],
    ['an output that is null', { output: null, tools: null, tool_choice: null, parallel_tool_calls: null }],
    ['an output that is a text', { output: 'none' }],
  ])('of %s has each field that OpenAI requires', (_what, reply) => {
    expect(shown(reply)).toEqual({
      id: `resp_${HEX}`,
      object: 'response',
      created_at: Date.parse('2026-11-29T12:00:00Z') / 1000,
      status: 'completed',
      background: false,
      previous_response_id: null,
      store: true,
      model: 'o3',
      error: null,
      incomplete_details: null,
      instructions: null,
      metadata: {},
      output: [],
      parallel_tool_calls: true,
      temperature: null,
      tool_choice: 'auto',
      tools: [],
      top_p: null,
    });
  });

  it('repeats what the request names, with its own numbers', () => {
    const asked = parseExact(
      '{"temperature":1.0,"top_p":0.50,"instructions":"Be brief.","metadata":{"a":"b"},' +
        '"tools":[{"type":"web_search"}],"tool_choice":"none","parallel_tool_calls":false,' +
        '"reasoning":{"effort":"low"},"text":{"verbosity":"low"},"max_output_tokens":100}',
    ) as object;
    const response = shown({}, asked);
    expect(response).toMatchObject({
      ...{ instructions: 'Be brief.', metadata: { a: 'b' }, tools: [{ type: 'web_search' }] },
      ...{ tool_choice: 'none', parallel_tool_calls: false, max_output_tokens: 100 },
      reasoning: { effort: 'low', summary: null },
      text: { format: { type: 'text' }, verbosity: 'low' },
    });
    expect(stringifyExact(response)).toContain('"temperature":1.0,');
    expect(stringifyExact(response)).toContain('"top_p":0.50');
  });

  it('does not claim the tier that the request names', () => {
    expect(shown({}, { service_tier: 'flex' })).not.toHaveProperty('service_tier');
  });

  it.each<[string, object, object]>([
    [
      'a message of a role and a text',
      { role: 'assistant', content: [{ type: 'output_text', text: 'So.' }] },
      {
        ...{ id: `msg_${HEX}_0`, type: 'message', role: 'assistant', status: 'completed' },
        content: [{ type: 'output_text', text: 'So.', annotations: [] }],
      },
    ],
    [
      'a message without anything',
      { type: 'message', id: null, content: null },
      { id: `msg_${HEX}_0`, type: 'message', role: 'assistant', status: 'completed', content: [] },
    ],
    ['reasoning', { type: 'reasoning' }, { id: `rs_${HEX}_0`, type: 'reasoning', summary: [] }],
    [
      'a call',
      { name: 'now', arguments: '{}' },
      {
        ...{ id: `fc_${HEX}_0`, call_id: `fc_${HEX}_0`, type: 'function_call', status: 'completed' },
        ...{ name: 'now', arguments: '{}' },
      },
    ],
    [
      'a call with an id of its own',
      { type: 'custom_tool_call', id: 'ctc_1', name: 'run', input: 'ls' },
      { type: 'custom_tool_call', id: 'ctc_1', call_id: 'ctc_1', name: 'run', input: 'ls' },
    ],
    [
      'a search',
      { type: 'web_search_call', action: { type: 'search' } },
      { id: `ws_${HEX}_0`, type: 'web_search_call', status: 'completed', action: { type: 'search' } },
    ],
    [
      'an item of next year',
      { type: 'dance_call', steps: [null] },
      { id: `item_${HEX}_0`, type: 'dance_call', steps: [null] },
    ],
    ['an item that says nothing of itself', { what: 1 }, { what: 1 }],
    [
      'an item that the worker could not name',
      { ...message('msg_o3q_5', 'So.') },
      message(`msg_${HEX}_5`, 'So.'),
    ],
  ])('with %s has a whole item', (_what, item, whole) => {
    expect(outputOf(item)).toEqual([whole]);
  });

  it('that was cut short has an incomplete last item', () => {
    const items = [{ type: 'message' }, { type: 'message' }];
    expect(shown({ status: 'incomplete', output: items })['output']).toMatchObject([
      { status: 'completed' },
      { status: 'incomplete' },
    ]);
  });

  const NO_DETAILS = {
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
  };
  it.each<[unknown, unknown]>([
    [
      { input_tokens: 3, output_tokens: 4 },
      { input_tokens: 3, output_tokens: 4, total_tokens: 7, ...NO_DETAILS },
    ],
    [
      { input_tokens: 3, output_tokens: 4, input_tokens_details: { cached_tokens: 2 }, tool_usage: { n: 1 } },
      {
        ...{ input_tokens: 3, output_tokens: 4, total_tokens: 7, tool_usage: { n: 1 }, ...NO_DETAILS },
        input_tokens_details: { cached_tokens: 2, cache_write_tokens: 0 },
      },
    ],
    [
      { prompt_tokens: 3, completion_tokens: 4, completion_tokens_details: { reasoning_tokens: 1 } },
      {
        ...{ prompt_tokens: 3, completion_tokens: 4, completion_tokens_details: { reasoning_tokens: 1 } },
        ...{ input_tokens: 3, output_tokens: 4, total_tokens: 7, ...NO_DETAILS },
        output_tokens_details: { reasoning_tokens: 1 },
      },
    ],
    [{}, {}],
    [null, null],
    [undefined, undefined],
  ])('with the usage %j has the usage %j', (usage, whole) => {
    expect(usageOf(usage)).toEqual(whole);
  });
});

it('The error of a failed response is shown whole', () => {
  const more = { misalignment: { category: 'x', scores: [0.5] } };
  expect(failed({ code: 'misalignment_policy_violation', type: 'policy', more })).toMatchObject({
    status: 'failed',
    error: {
      ...{ code: 'misalignment_policy_violation', message: 'no', type: 'policy', param: null },
      ...more,
    },
  });
});
