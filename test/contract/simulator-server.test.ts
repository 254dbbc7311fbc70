import OpenAI from 'openai';
import { createSimulator } from '../../simulator/simulator.ts';
import { eventually } from '../support/eventually.ts';
import { collect, refusal, withSimulator } from './simulator-world.ts';

const REQUEST = { model: 'o3', input: 'x', background: true } as const;

describe('the simulator as a server', () => {
  it('with background: rejected, background mode is refused and there are no lookups', async () => {
    await withSimulator({ background: 'rejected' }, async ({ client, simulator }) => {
      expect(await refusal(client.responses.create(REQUEST))).toMatchObject({
        status: 400,
        param: 'background',
        code: 'unsupported_parameter',
      });
      const { id } = await client.responses.create({ ...REQUEST, background: false });
      expect((await refusal(client.responses.retrieve(id))).status).toBe(404);
      expect((await refusal(client.responses.cancel(id))).status).toBe(404);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 1 });
    });
  });

  it('with background: ignored, creates run in the foreground, streamed or not', async () => {
    await withSimulator({ background: 'ignored' }, async ({ client }) => {
      const response = await client.responses.create(REQUEST);
      expect(response).toMatchObject({ status: 'completed', background: false });
      expect((await refusal(client.responses.retrieve(response.id))).status).toBe(404);
      const events = await collect(await client.responses.create({ ...REQUEST, stream: true }));
      expect(events.some((event) => event.type === 'response.queued')).toBe(false);
    });
  });

  it('with apiKey, calls without that key are refused', async () => {
    await withSimulator({ apiKey: 'sk-secret' }, async ({ client, url, simulator }) => {
      expect(await refusal(client.responses.create(REQUEST))).toMatchObject({
        status: 401,
        code: 'invalid_api_key',
      });
      expect((await fetch(`${url}/models`)).status).toBe(401);
      const welcome = new OpenAI({ apiKey: 'sk-secret', baseURL: url });
      expect((await welcome.responses.create(REQUEST)).status).toBe('queued');
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 1 });
    });
  });

  it('the ledger is served over HTTP and can be forgotten', async () => {
    await withSimulator({}, async ({ client, url, simulator }) => {
      const metadata = { job_id: '7' };
      const created = await client.responses.create({ ...REQUEST, metadata });
      await client.responses.retrieve(created.id);
      const address = url.replace(/\/v1$/, '/simulator/ledger');
      expect(await (await fetch(address)).json()).toMatchObject({
        totals: { purchases: 1, polls: 1, requests: 2, rejected: 0 },
        responses: [
          {
            response_id: created.id,
            model: 'o3',
            mode: 'background',
            metadata,
            question: 'x',
            fields: ['model', 'input', 'background', 'metadata'],
            polls: 1,
            cancelled_at: null,
          },
        ],
      });
      await fetch(address, { method: 'DELETE' });
      expect(simulator.ledger.entries()).toEqual([]);
      expect(simulator.ledger.totals().purchases).toBe(0);
    });
  });

  it('unknown fields of a create are accepted', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const request = { ...REQUEST, from_the_future: true };
      expect((await client.responses.create(request)).status).toBe('queued');
      expect(simulator.ledger.entries()[0]?.fields).toContain('from_the_future');
    });
  });

  it("bad JSON, unknown paths and unknown models get OpenAI's error envelope", async () => {
    await withSimulator({ models: ['o3'] }, async ({ client, url }) => {
      const bad = await fetch(`${url}/responses`, { method: 'POST', body: '{"model":' });
      expect(bad.status).toBe(400);
      expect(await bad.json()).toEqual({
        error: {
          message: expect.stringContaining('could not parse the JSON body'),
          type: 'invalid_request_error',
          param: null,
          code: null,
        },
      });
      expect((await fetch(`${url}/nothing`)).status).toBe(404);
      expect(await refusal(client.responses.create({ model: 'o4', input: 'x' }))).toMatchObject({
        status: 404,
        code: 'model_not_found',
      });
    });
  });

  it.each([
    [{}, 'true'],
    [{ paid: true }, null],
  ])(
    'every reply says that it is simulated, unless it stands in for a paid one: %j',
    async (options, said) => {
      await withSimulator({ ...options, models: ['o3'] }, async ({ url }) => {
        const create = (model: string, stream: boolean): Promise<Response> =>
          fetch(`${url}/responses`, { method: 'POST', body: JSON.stringify({ model, input: 'x', stream }) });
        const replies = [
          create('o3', false),
          create('o3', true),
          create('o4', false),
          fetch(`${url}/models`),
        ];
        for (const reply of await Promise.all(replies)) {
          expect(reply.headers.get('o3q-simulated')).toBe(said);
          await reply.text();
        }
      });
    },
  );

  it('the answer option writes the answers', async () => {
    const answer = ({ text }: { text: string }) => text.toUpperCase();
    await withSimulator({ answer }, async ({ client }) => {
      const response = await client.responses.create({ model: 'o3', input: 'loud' });
      expect(response.output_text).toBe('LOUD');
    });
  });

  it('close() can be called twice with open connections, and leaves no timer', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const simulator = createSimulator({ thinkMs: 60_000 });
    const { url } = await simulator.listen(0);
    const create = (stream: boolean) =>
      fetch(`${url}/responses`, { method: 'POST', body: JSON.stringify({ ...REQUEST, stream }) });
    const stream = await create(true);
    const cutOff = expect(stream.text()).rejects.toThrow('terminated');
    await Promise.all([simulator.close(), simulator.close()]);
    await cutOff;
    await expect(create(false)).rejects.toThrow('fetch failed');
    await eventually(() => expect(timers()).toBeLessThanOrEqual(before));
  });

  it('listen() returns the address, and rejects one that is taken', async () => {
    await withSimulator({}, async ({ url }) => {
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
      const second = createSimulator();
      await expect(second.listen(Number(new URL(url).port))).rejects.toMatchObject({ code: 'EADDRINUSE' });
      await second.close();
    });
  });
});
