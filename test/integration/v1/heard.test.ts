import type { OpenAI } from 'openai';
import type { JobResult } from '../../../src/job/view.ts';
import { call, reached } from '../../support/http/http-calls.ts';
import { readSse } from '../../support/http/sse-reader.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * Servers and proxies that stream in another form than OpenAI: what was streamed is kept, and told to each
 * reader once.
 */

const ANSWER = 'What was streamed is the answer, whatever the last event says of it.';
const FORMS = [
  'no_opening',
  'no_indexes',
  'no_types',
  'no_numbers',
  'no_deltas',
  'no_end',
  'no_end, no_indexes, no_opening, done',
  'end_bare',
  'end_in_progress, done',
  'twice',
  'noise',
  'comments',
  'plain_text',
  'crlf',
  'other_ids',
  'output_empty',
  'output_empty, no_indexes',
  'output_half',
];

const message = (content: unknown) => ({ id: 'msg_of_the_end', type: 'message', role: 'assistant', content });

/** What last events have said. */
const ENDS: readonly { set?: object; unset?: readonly string[] }[] = [
  { unset: ['output'] },
  { set: { output: null } },
  { set: { output: 'none' } },
  { set: { output: [message([])] } },
  { set: { output: [message(ANSWER)] } },
  { set: { output: [message([{ type: 'text', text: ANSWER }])] } },
  { set: { output: [message([{ type: 'output_text', text: ANSWER.slice(0, 9) }])] } },
  { set: { output: [], output_text: ANSWER } },
  { set: { id: 'resp_of_the_end', output: [] } },
  { unset: ['status'] },
  { set: { status: null } },
];

describe.each(['supported', 'rejected'] as const)('an upstream whose background mode is %s', (background) => {
  let instance: Instance;
  let client: OpenAI;
  beforeAll(async () => {
    instance = await startInstance({ simulator: { background, answer: () => ANSWER, keepaliveMs: 10 } });
    ({ client } = openSdk(instance.url));
  });
  afterAll(() => instance.stop());
  beforeEach(() => instance.simulator.ledger.reset());

  const asked = (sim: string) => ({
    model: 'o3',
    input: sim,
    reasoning: { summary: 'auto' as const },
    metadata: { sim },
  });

  it.each(FORMS)('and whose streams have the form %s: the answer is whole, and told once', async (sim) => {
    const { body } = await call(instance.url, 'POST', '/jobs', { body: { request: asked(sim) } });
    const { id } = body as { id: string };
    const live = await readSse(`${instance.url}/jobs/${id}/events`);
    const job = await reached(instance.url, id, 'completed');
    expect(job).toMatchObject({ attempt: 1, uncertain_purchases: 0, result: { answer_preview: ANSWER } });
    const { answer, response } = (await call(instance.url, 'GET', `/jobs/${id}/result`)).body as JobResult;
    expect(answer).toBe(ANSWER);
    expect(response['status']).toBe('completed');
    for (const events of [live, await readSse(`${instance.url}/jobs/${id}/events`)]) {
      const told = events.flatMap(({ event, data }) =>
        event === 'delta' || event === 'attempt' ? [{ event, text: (data as { text: string }).text }] : [],
      );
      expect(told.filter(({ event }) => event === 'attempt')).toEqual([]);
      expect(told.map(({ text }) => text).join('')).toBe(ANSWER);
    }
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, cancels: 0 });
  });

  it.each(ENDS)('and whose last event has %j: the answer is whole, and told once', async (end) => {
    const request = { ...asked('end'), metadata: { sim: 'end', sim_end: JSON.stringify(end) } };
    const { body } = await call(instance.url, 'POST', '/jobs', { body: { request } });
    const { id } = body as { id: string };
    const job = await reached(instance.url, id, 'completed');
    expect(job).toMatchObject({ attempt: 1, uncertain_purchases: 0, result: { answer_preview: ANSWER } });
    const events = await readSse(`${instance.url}/jobs/${id}/events`);
    const told = events.filter(({ event }) => event === 'delta');
    expect(told.map(({ data }) => (data as { text: string }).text).join('')).toBe(ANSWER);
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, cancels: 0 });
  });

  it.each<object | null>([
    null,
    {},
    { input_tokens: 0, output_tokens: 0, total_tokens: 0 },
    { input_tokens: -1, output_tokens: 5 },
  ])('and whose last event has the usage %j: it is unknown, and its cost an estimate', async (usage) => {
    const metadata = { sim: 'end', sim_end: JSON.stringify({ set: { usage } }) };
    const request = { ...asked('end'), metadata };
    const { body } = await call(instance.url, 'POST', '/jobs', { body: { request } });
    const job = await reached(instance.url, (body as { id: string }).id, 'completed');
    expect(job).toMatchObject({
      ...{ cost_usd: expect.any(Number), cost_estimated: true },
      result: { usage: null, cost_usd: null },
    });
  });

  it('and whose usage is in texts: the texts count as numbers', async () => {
    const usage = { input_tokens: '10', output_tokens: '20', total_tokens: '30' };
    const metadata = { sim: 'end', sim_end: JSON.stringify({ set: { usage } }) };
    const request = { ...asked('end'), metadata };
    const { body } = await call(instance.url, 'POST', '/jobs', { body: { request } });
    const job = await reached(instance.url, (body as { id: string }).id, 'completed');
    expect(job).toMatchObject({
      ...{ cost_usd: 0.00018, cost_estimated: false },
      result: { usage: { input_tokens: 10, output_tokens: 20, total_tokens: 30 }, cost_usd: 0.00018 },
    });
  });

  it.each(FORMS)("and whose streams have the form %s: OpenAI's SDK puts its stream together", async (sim) => {
    const stream = client.responses.stream(asked(sim));
    let told = '';
    stream.on('response.output_text.delta', ({ delta }) => {
      told += delta;
    });
    const final = await stream.finalResponse();
    expect(told).toBe(ANSWER);
    expect(final.output_text).toBe(ANSWER);
    expect((await client.responses.retrieve(final.id)).output_text).toBe(ANSWER);
  });

  it.each(['refusal', 'refusal, no_indexes, no_opening', 'refusal, no_deltas'])(
    'and whose model answers with %s: the job has the words of the refusal, and no answer',
    async (sim) => {
      const { body } = await call(instance.url, 'POST', '/jobs', { body: { request: asked(sim) } });
      const { id } = body as { id: string };
      const words = expect.stringContaining('I decline to answer');
      expect(await reached(instance.url, id, 'completed')).toMatchObject({
        result: { answer_preview: null, refusal: words, incomplete_reason: null },
      });
      expect((await call(instance.url, 'GET', `/jobs/${id}/result`)).body).toMatchObject({
        answer: null,
        refusal: words,
      });
      const events = await readSse(`${instance.url}/jobs/${id}/events`);
      expect(events.filter(({ event }) => event === 'delta')).toEqual([]);
    },
  );

  it.each(['no_end', 'no_end, no_indexes, no_opening', 'no_end, no_deltas'])(
    'and whose stream of calls has the form %s: the calls are whole, and bought once',
    async (sim) => {
      const tools = [
        { type: 'function', name: 'weather' } as const,
        { type: 'custom', name: 'note' } as const,
      ];
      const request = { ...asked(sim), input: 'Please call weather and call note with `x`.', tools };
      const { body } = await call(instance.url, 'POST', '/jobs', { body: { request } });
      const { id } = body as { id: string };
      expect(await reached(instance.url, id, 'completed')).toMatchObject({ attempt: 1 });
      const { response } = (await call(instance.url, 'GET', `/jobs/${id}/result`)).body as JobResult;
      expect(response).toMatchObject({
        status: 'completed',
        output: expect.arrayContaining([
          expect.objectContaining({ type: 'function_call', name: 'weather', call_id: expect.any(String) }),
          expect.objectContaining({ type: 'custom_tool_call', name: 'note', input: 'x' }),
        ]),
      });
      expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, cancels: 0 });
    },
  );

  it('and that stops before the first word: the job has the reason, and no answer', async () => {
    const { body } = await call(instance.url, 'POST', '/jobs', { body: { request: asked('incomplete') } });
    const { id } = body as { id: string };
    expect(await reached(instance.url, id, 'completed')).toMatchObject({
      result: { answer_preview: null, refusal: null, incomplete_reason: 'max_output_tokens' },
    });
    expect((await call(instance.url, 'GET', `/jobs/${id}/result`)).body).toMatchObject({ answer: null });
  });
});
