import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OpenAI } from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { z } from 'zod';
import { call } from '../../support/http/http-calls.ts';
import { openSdk, reachedStatus, replayOf } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** An upstream that sends little more than the text: OpenAI's SDK reads its answers all the same. */

const TEXT = '{"city":"Oslo"}';
const USAGE = { input_tokens: 3, output_tokens: 4 };
const SEARCH = { type: 'web_search_call', action: { type: 'search', query: 'Oslo' } };
const MESSAGE = { role: 'assistant', content: [{ type: 'output_text', text: TEXT }] };
const UNKNOWN = { type: 'response.compaction.compacting', of_next_year: { kept: [null, 1.5] } };

/** What the upstream answers, by the question. */
const STREAMS: Record<string, object[]> = {
  Sparse: [
    { type: 'response.output_item.added', item: { type: 'web_search_call' } },
    { type: 'response.web_search_call.searching' },
    { type: 'response.output_item.done', item: SEARCH },
    { type: 'response.output_item.added', item: { role: 'assistant' } },
    { type: 'response.output_text.delta', delta: TEXT.slice(0, 5) },
    UNKNOWN,
    { type: 'response.output_text.delta', delta: TEXT.slice(5) },
    { type: 'response.completed', response: { output: [SEARCH, MESSAGE], usage: USAGE } },
  ],
  Prewarm: [
    {
      type: 'response.completed',
      response: { id: 'resp_warm', output: [], usage: { input_tokens: 1200, output_tokens: 0 } },
    },
  ],
  Phases: [
    {
      type: 'response.completed',
      response: {
        id: 'resp_phases',
        output: [
          { ...MESSAGE, phase: 'commentary', content: [{ type: 'output_text', text: 'Let me see.' }] },
          { ...MESSAGE, phase: 'final_answer' },
        ],
        input_transformations: [{ type: 'reasoning', action: 'removed', reason: 'turn_boundary' }],
      },
    },
  ],
  Refused: [
    {
      type: 'response.failed',
      response: {
        id: 'resp_refused',
        status: 'failed',
        error: {
          ...{ code: 'misalignment_policy_violation', message: 'That is against the policy.' },
          ...{ type: 'policy', param: null, misalignment: { category: 'x', score: 0.5 } },
        },
      },
    },
  ],
};

/** The SDK's helper throws at an event that it does not know. */
STREAMS['Sparse and known'] = STREAMS['Sparse']?.filter((event) => event !== UNKNOWN) ?? [];

const MORE = {
  details: [{ field: 'input', index: 9 }],
  inner_error: { code: 'ResponsibleAIPolicyViolation' },
  metadata: { provider_name: 'Acme', headers: { authorization: 'Bearer of-acme' } },
};
/** What both doors show of `MORE`. */
const SHOWN = { ...MORE, metadata: { provider_name: 'Acme' } };
const ERROR = { message: 'No such thing.', type: 'policy', param: 'input', code: 'invalid_prompt', ...MORE };
STREAMS['An error first'] = [{ ...ERROR, type: 'error', sequence_number: 0 }];
STREAMS['An error in its envelope'] = [{ type: 'error', error: ERROR }];
STREAMS['An error later'] = [
  { type: 'response.created', response: { id: 'resp_later', status: 'in_progress' } },
  { ...ERROR, type: 'error', sequence_number: 1 },
];

let creates: string[] = [];
const upstream: Server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.method !== 'POST') return response.writeHead(404).end();
    const text = Buffer.concat(chunks).toString();
    const { input: asked, stream } = JSON.parse(text) as Record<string, unknown>;
    // A chat completion asks in a message.
    const input = typeof asked === 'string' ? asked : (/An error [a-z ]+/.exec(text)?.[0] ?? '');
    creates.push(input);
    const events = (STREAMS[input] ?? []).map((event) => `data: ${JSON.stringify(event)}\n\n`);
    if (input === 'An error by status') {
      return response.writeHead(422, { 'x-account': 'of-acme' }).end(JSON.stringify({ error: ERROR }));
    }
    if (stream !== true) return response.writeHead(400).end();
    return response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.join(''));
  });
});

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`;
  instance = await startInstance({ upstream: { baseUrl } });
  ({ client } = openSdk(instance.url));
});
afterAll(async () => {
  await instance.stop();
  upstream.closeAllConnections();
  await new Promise((resolve) => upstream.close(resolve));
});
beforeEach(() => {
  creates = [];
});

const asked = { model: 'o3', input: 'Sparse', instructions: 'Be brief.', metadata: { a: 'b' } };

/** The output that each reader must get, with the ids that follow from the id of the response. */
function wholeOutput(responseId: string): object[] {
  const hex = responseId.replace('resp_', '');
  return [
    { ...SEARCH, id: `ws_${hex}_0`, status: 'completed' },
    {
      ...{ id: `msg_${hex}_1`, type: 'message', role: 'assistant', status: 'completed' },
      content: [{ type: 'output_text', text: TEXT, annotations: [] }],
    },
  ];
}

it.each([false, true])('An answer is whole, with background %s, on every read', async (background) => {
  const created = await client.responses.create({ ...asked, background });
  const response = await reachedStatus(client, created.id, 'completed');
  if (!background) expect(created).toEqual(response);
  expect(response).toMatchObject({
    ...{ object: 'response', model: 'o3', instructions: 'Be brief.', metadata: { a: 'b' } },
    ...{ error: null, incomplete_details: null, parallel_tool_calls: true, tool_choice: 'auto', tools: [] },
    ...{ temperature: null, top_p: null, output_text: TEXT, output: wholeOutput(created.id) },
    usage: {
      ...{ input_tokens: 3, output_tokens: 4, total_tokens: 7 },
      input_tokens_details: { cached_tokens: 0 },
      output_tokens_details: { reasoning_tokens: 0 },
    },
  });
  expect(await client.responses.retrieve(created.id)).toEqual(response);
  expect(creates).toHaveLength(1);
});

it('An answer keeps the form of its upstream in the result of its job', async () => {
  const { id } = await client.responses.create(asked);
  const { body } = await call(instance.url, 'GET', `/jobs/${id}/result`);
  expect(body).toMatchObject({ answer: TEXT });
  const { response } = body as { response: Record<string, unknown> };
  expect(response['usage']).toEqual(USAGE);
  expect(response).not.toHaveProperty('tools');
});

it('A structured answer is parsed', async () => {
  const format = zodTextFormat(z.object({ city: z.string() }), 'place');
  const response = await client.responses.parse({ ...asked, text: { format } });
  expect(response.output_parsed).toEqual({ city: 'Oslo' });
});

it('A stream has the place of each event, and events of next year in the same moment as the end', async () => {
  const events: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create({ ...asked, stream: true })) events.push(event);
  const { id } = (events[0] as { response: { id: string } }).response;
  const [search, message] = wholeOutput(id) as [{ id: string }, { id: string }];
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
  const first = (type: string) => events.find((event) => event.type === type);
  expect(first('response.output_item.added')).toMatchObject({
    output_index: 0,
    item: { id: search.id, type: 'web_search_call', status: 'in_progress' },
  });
  expect(first('response.web_search_call.searching')).toMatchObject({ output_index: 0, item_id: search.id });
  const place = { output_index: 1, item_id: message.id, content_index: 0 };
  for (const type of ['content_part.added', 'output_text.delta', 'output_text.done', 'content_part.done']) {
    expect(first(`response.${type}`)).toMatchObject(place);
  }
  expect(first('response.output_text.delta')).toMatchObject({ logprobs: [] });
  const unknown = events.findIndex((event) => String(event.type) === UNKNOWN.type);
  expect(events[unknown]).toEqual({ ...UNKNOWN, sequence_number: unknown });
  expect([events[unknown - 1], events[unknown + 1]]).toMatchObject([
    { type: 'response.output_text.delta', delta: TEXT.slice(0, 5) },
    { type: 'response.output_text.delta', delta: TEXT.slice(5) },
  ]);
  expect(events.filter(({ type }) => type === 'response.output_item.done')).toMatchObject([
    { output_index: 0, item: search },
    { output_index: 1, item: message },
  ]);
  expect(events.at(-1)).toMatchObject({
    type: 'response.completed',
    response: { output: [search, message] },
  });
  expect(await replayOf(client, id)).toEqual(events);
});

it("OpenAI's SDK puts a stream together", async () => {
  const final = await client.responses.stream({ ...asked, input: 'Sparse and known' }).finalResponse();
  expect(final).toMatchObject({ output_text: TEXT, output: wholeOutput(final.id) });
});

it('A prewarmed cache is a success that is not bought again', async () => {
  const prompt_cache_options = { prewarm: true } as object;
  const response = await client.responses.create({ model: 'o3', input: 'Prewarm', prompt_cache_options });
  expect(response).toMatchObject({ status: 'completed', output: [], usage: { total_tokens: 1200 } });
  const { body } = await call(instance.url, 'GET', `/jobs/${response.id}`);
  expect(body).toMatchObject({ status: 'completed', attempt: 1, result: { answer_preview: null } });
  expect(creates).toEqual(['Prewarm']);
});

it('Commentary is no part of the answer of a job, and unknown fields of the response are kept', async () => {
  const { id } = await client.responses.create({ model: 'o3', input: 'Phases' });
  expect((await call(instance.url, 'GET', `/jobs/${id}`)).body).toMatchObject({
    result: { answer_preview: TEXT },
  });
  const transformed = { input_transformations: [{ reason: 'turn_boundary' }] };
  expect((await call(instance.url, 'GET', `/jobs/${id}/result`)).body).toMatchObject({
    answer: TEXT,
    response: { ...transformed, output: [{ phase: 'commentary' }, { phase: 'final_answer' }] },
  });
  expect(await client.responses.retrieve(id)).toMatchObject(transformed);
});

it('The error of a failed response is shown whole, and its job is not tried again', async () => {
  const { id } = await client.responses.create({ model: 'o3', input: 'Refused', background: true });
  const response = await reachedStatus(client, id, 'failed');
  expect(response.error).toEqual({
    ...{ code: 'misalignment_policy_violation', message: 'That is against the policy.' },
    ...{ type: 'policy', param: null, misalignment: { category: 'x', score: 0.5 } },
  });
  expect(creates).toEqual(['Refused']);
});

it.each(['An error by status', 'An error first', 'An error in its envelope', 'An error later'])(
  '%s is shown whole at every door, without headers and keys',
  async (input) => {
    const { id } = await client.responses.create({ model: 'o3', input, background: true });
    const { error } = await reachedStatus(client, id, 'failed');
    expect(error).toMatchObject({ ...SHOWN, message: 'No such thing.', code: 'invalid_prompt' });
    const asks = [
      ['/v1/responses', { model: 'o3', input }],
      ['/v1/chat/completions', { model: 'o3', messages: [{ role: 'user', content: input }] }],
    ] as const;
    for (const [path, body] of asks) {
      const answer = await call(instance.url, 'POST', path, { body });
      expect(answer.body).toMatchObject({ error: { ...SHOWN, message: 'No such thing.' } });
      expect(JSON.stringify(answer.body)).not.toContain('of-acme');
    }
  },
);
