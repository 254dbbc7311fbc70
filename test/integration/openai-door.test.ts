import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { type Instance, startInstance } from '../support/instance.ts';

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance();
  client = new OpenAI({ apiKey: 'any', baseURL: `${instance.url}/v1` });
});
afterAll(() => instance.stop());

const asks = (input: string, metadata: Record<string, string> = {}) => ({ model: 'o3', input, metadata });

it('a background response is created, retrieved and read', async () => {
  const created = await client.responses.create({ ...asks('Background?'), background: true });
  expect(created).toMatchObject({
    id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
    status: 'queued',
    output: [],
  });
  const done = await eventually(async () => {
    const response = await client.responses.retrieve(created.id);
    expect(response.status).toBe('completed');
    return response;
  });
  expect(done).toMatchObject({ id: created.id, created_at: created.created_at, background: true });
  expect(done.output_text).toContain('Background?');
  expect(instance.simulator.ledger.totals().purchases).toBe(1);
});

it('a foreground response comes when it is there', async () => {
  const response = await client.responses.create(asks('Foreground?', { sim_think_ms: '300' }));
  expect(response).toMatchObject({ status: 'completed', background: false });
  expect(response.output_text).toContain('Foreground?');
});

it.each([true, false])(
  'a stream (background: %s) has its events in order, and the whole text',
  async (background) => {
    const stream = await client.responses.create({
      ...asks('Stream?', { sim_think_ms: '500', sim_deltas: '20' }),
      background,
      stream: true,
    });
    const types: string[] = [];
    const numbers: number[] = [];
    let text = '';
    let whole = '';
    for await (const event of stream) {
      types.push(event.type);
      numbers.push(event.sequence_number);
      if (event.type === 'response.output_text.delta') text += event.delta;
      if (event.type === 'response.completed') whole = event.response.output_text ?? '';
      if (event.type === 'response.completed') whole = JSON.stringify(event.response.output);
    }
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(types.slice(0, background ? 3 : 2)).toEqual([
      'response.created',
      ...(background ? ['response.queued'] : []),
      'response.in_progress',
    ]);
    expect(types.at(-1)).toBe('response.completed');
    expect(whole).toContain(JSON.stringify(text).slice(1, -1));
  },
);

it('the SDK’s own helper streams it', async () => {
  const stream = client.responses.stream(asks('Helper?', { sim_think_ms: '300', sim_deltas: '10' }));
  let text = '';
  stream.on('response.output_text.delta', ({ delta }) => {
    text += delta;
  });
  const final = await stream.finalResponse();
  expect(final.output_text).toBe(text);
});
