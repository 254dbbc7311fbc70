import { APIError, type OpenAI } from 'openai';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { openSdk, reachedStatus, replayOf } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** OpenAI's own SDK, unmodified but for its base URL: responses that run in the background. */

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance();
  ({ client } = openSdk(instance.url));
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

type Asked = OpenAI.Responses.ResponseCreateParamsNonStreaming;
const create = (input: string, metadata: Record<string, string> = {}, more: Partial<Asked> = {}) =>
  client.responses.create({ model: 'o3', input, metadata, background: true, ...more });
/** As the HTTP answer has it. */
const refusalOf = async (promise: Promise<unknown>): Promise<object> => {
  const error: unknown = await promise.then(
    () => new Error('expected a refusal'),
    (caught: unknown) => caught,
  );
  if (error instanceof APIError) return { status: error.status, message: error.message };
  throw error;
};

describe('a background response', () => {
  it('is bought once, and can be retrieved until it is completed', async () => {
    const created = await create('Background?', { mine: 'yes' });
    expect(created).toMatchObject({
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      object: 'response',
      status: 'queued',
      background: true,
      output: [],
      usage: null,
      metadata: { mine: 'yes' },
    });
    const done = await reachedStatus(client, created.id, 'completed');
    expect(done).toMatchObject({ id: created.id, created_at: created.created_at, metadata: { mine: 'yes' } });
    expect(done.output_text).toContain('Background?');
    expect(done.usage?.total_tokens).toBeGreaterThan(0);
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
  });

  it('says in headers when its answer is needed', async () => {
    const headers = { 'O3Q-Needed-By': '2099-11-30T08:00:00+01:00', 'O3Q-On-Late': 'wait' };
    const body = { model: 'o3', input: 'By then?', background: true };
    const { id } = await client.responses.create(body, { headers });
    const { body: job } = await call(instance.url, 'GET', `/jobs/${id}`);
    expect(job).toMatchObject({ needed_by: '2099-11-30T07:00:00.000Z' });
    await reachedStatus(client, id, 'completed');
    for (const wrong of [{ 'O3Q-Needed-By': 'tomorrow' }, { 'O3Q-On-Late': 'wait' }]) {
      expect(await refusalOf(client.responses.create(body, { headers: wrong }))).toMatchObject({
        status: 400,
      });
    }
  });

  it('continues a previous response under the id that the upstream knows', async () => {
    const first = await create('First?');
    await reachedStatus(client, first.id, 'completed');
    const second = await create('And second?', {}, { previous_response_id: first.id });
    const done = await reachedStatus(client, second.id, 'completed');
    expect(done.previous_response_id).toBe(first.id);
    const bought = (question: string) =>
      instance.simulator.ledger.entries().find((entry) => entry.question === question);
    expect(bought('First?')?.response_id).not.toBe(first.id);
    // The simulator refuses a previous response that it does not know.
    expect(bought('And second?')).toMatchObject({ state: 'completed' });
  });

  it('cannot continue a response that has not ended', async () => {
    const first = await create('Slow?', { sim_think_ms: '60000' });
    const next = create('And then?', {}, { previous_response_id: first.id });
    expect(await refusalOf(next)).toMatchObject({
      status: 400,
      message: expect.stringContaining('was expected to be completed'),
    });
    await client.responses.cancel(first.id);
  });

  it('calls a function and receives its output', async () => {
    const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    const asked = await create(
      'Weather?',
      {},
      {
        tools: [{ type: 'function', name: 'weather', parameters, strict: false }],
        tool_choice: 'required',
      },
    );
    const { output } = await reachedStatus(client, asked.id, 'completed');
    const call = output.find((item) => item.type === 'function_call');
    expect(call).toMatchObject({ name: 'weather', arguments: expect.stringContaining('"city"') });
    const answer = await client.responses.create({
      model: 'o3',
      background: true,
      previous_response_id: asked.id,
      input: [{ type: 'function_call_output', call_id: call?.call_id ?? '', output: '{"degrees": 20}' }],
    });
    expect((await reachedStatus(client, answer.id, 'completed')).output_text).not.toBe('');
  });

  it('is the same for a repeated Idempotency-Key, and a conflict for another body under it', async () => {
    const headers = { 'Idempotency-Key': 'one and only' };
    const body = { model: 'o3', input: 'Once?', background: true } as const;
    const [one, two] = await Promise.all([
      client.responses.create(body, { headers }),
      client.responses.create(body, { headers }),
    ]);
    expect(two.id).toBe(one.id);
    expect((await client.responses.create(body, { headers })).id).toBe(one.id);
    await reachedStatus(client, one.id, 'completed');
    expect((await client.responses.create(body, { headers })).output_text).toContain('Once?');
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
    const other = client.responses.create({ ...body, input: 'Other?' }, { headers });
    expect(await refusalOf(other)).toMatchObject({ status: 409 });
  });

  it('can be retrieved when its job was enqueued with POST /jobs', async () => {
    const made = await fetch(`${instance.url}/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ question: 'By the other door?', stream: false }),
    });
    const { id } = (await made.json()) as { id: string };
    const responseId = id.replace('job_', 'resp_');
    const done = await reachedStatus(client, responseId, 'completed');
    expect(done).toMatchObject({
      background: true,
      output_text: expect.stringContaining('By the other door?'),
    });
    const { data } = await client.responses.inputItems.list(responseId);
    expect(data).toMatchObject([{ role: 'user', content: [{ text: 'By the other door?' }] }]);
  });
});

describe('cancelling', () => {
  it.each([
    ['waits', { 'O3Q-Delay-Ms': '60000' }, 'queued'],
    ['runs', {}, 'in_progress'],
  ] as const)('a response that %s ends it, also the second time', async (_what, headers, status) => {
    const body = {
      model: 'o3',
      input: 'Stop?',
      background: true,
      metadata: { sim_think_ms: '60000' },
    } as const;
    const { id } = await client.responses.create(body, { headers });
    await reachedStatus(client, id, status);
    expect(await client.responses.cancel(id)).toMatchObject({ id, status: 'cancelled' });
    expect(await client.responses.retrieve(id)).toMatchObject({ id, status: 'cancelled' });
    expect(await client.responses.cancel(id)).toMatchObject({ id, status: 'cancelled' });
    const last = (await replayOf(client, id)).at(-1);
    expect(last).toMatchObject({ type: 'response.failed', response: { id, status: 'cancelled' } });
  });

  it.each([
    ['completed, and was not streamed', { stream: false }, 'completed', undefined],
    ['completed, and was streamed', { stream: true }, 'completed', 'Cannot cancel a completed response.'],
    ['failed', { metadata: { sim: '400' } }, 'failed', 'Cannot cancel a failed response.'],
    [
      'is incomplete',
      { metadata: { sim: 'incomplete' } },
      'incomplete',
      'Cannot cancel a response in terminal state.',
    ],
  ] as const)('a response that %s does what OpenAI does', async (_what, more, status, message) => {
    const { id } = await fetchCreate({ model: 'o3', input: 'Late?', background: true, ...more });
    await reachedStatus(client, id, status);
    const cancelling = client.responses.cancel(id);
    if (message === undefined) expect(await cancelling).toMatchObject({ id, status });
    else expect(await refusalOf(cancelling)).toEqual({ status: 400, message: `400 ${message}` });
    expect(await client.responses.retrieve(id)).toMatchObject({ status });
  });

  it('of a foreground response is refused', async () => {
    const { id } = await client.responses.create({ model: 'o3', input: 'Foreground?' });
    expect(await refusalOf(client.responses.cancel(id))).toEqual({
      status: 400,
      message: '400 Cannot cancel a synchronous response.',
    });
  });
});

describe('deleting a response', () => {
  it('removes it, and cannot be repeated', async () => {
    const { id } = await create('Delete?');
    await reachedStatus(client, id, 'completed');
    await client.responses.delete(id);
    expect(await refusalOf(client.responses.retrieve(id))).toMatchObject({ status: 404 });
    expect(await refusalOf(client.responses.delete(id))).toMatchObject({ status: 404 });
  });

  it('deletes what the upstream stores of it', async () => {
    const { id } = await create('Delete there?');
    await reachedStatus(client, id, 'completed');
    await client.responses.delete(id);
    await eventually(() =>
      expect(instance.simulator.ledger.entries()).toMatchObject([{ deleted_at: expect.any(Number) }]),
    );
  });

  it('is refused before its end', async () => {
    const { id } = await create('Delete now?', { sim_think_ms: '60000' });
    expect(await refusalOf(client.responses.delete(id))).toMatchObject({ status: 400 });
    await client.responses.cancel(id);
  });
});

describe('the other routes of /v1', () => {
  it('list the input of a response page by page for the SDK’s iterator', async () => {
    const input = Array.from({ length: 7 }, (_, i) => ({ role: 'user' as const, content: `Line ${i}` }));
    const { id } = await client.responses.create({ model: 'o3', input, background: true });
    const listed = async (order: 'asc' | 'desc'): Promise<string[]> => {
      const texts: string[] = [];
      for await (const item of client.responses.inputItems.list(id, { limit: 2, order })) {
        if ('content' in item && Array.isArray(item.content)) {
          for (const part of item.content) if (part.type === 'input_text') texts.push(part.text);
        }
      }
      return texts;
    };
    const lines = input.map(({ content }) => content);
    expect(await listed('asc')).toEqual(lines);
    expect(await listed('desc')).toEqual(lines.toReversed());
  });

  it('list the configured models', async () => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(['o3']);
    expect(await client.models.retrieve('o3')).toMatchObject({ id: 'o3', object: 'model' });
    expect(await refusalOf(client.models.retrieve('o4'))).toMatchObject({ status: 404 });
  });
});

/** A create whose stream is not read. */
async function fetchCreate(body: object): Promise<{ id: string }> {
  const response = await fetch(`${instance.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  const id = /resp_[0-9a-f]{32}/.exec(text)?.[0];
  if (id === undefined) throw new Error(`expected a response, got ${text}`);
  return { id };
}
