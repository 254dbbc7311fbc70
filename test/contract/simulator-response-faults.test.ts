import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { collect, finished, refusal, withSimulator } from './simulator-world.ts';

const REQUEST = { model: 'o3', input: 'x', background: true } as const;

describe('the stream faults', () => {
  it('eof ends the stream without its terminal event, and the response still completes', async () => {
    await withSimulator({}, async ({ client }) => {
      const events = await collect(
        await client.responses.create({
          ...REQUEST,
          stream: true,
          metadata: { sim: 'eof', sim_events: '2' },
        }),
      );
      expect(events.map((event) => event.type)).toEqual(['response.created', 'response.queued']);
      const [first] = events;
      if (first?.type !== 'response.created') throw new Error(`began with ${first?.type}`);
      expect((await finished(client, first.response.id)).status).toBe('completed');
    });
  });

  it('mute sends headers and then nothing, on sim_connections connections', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const stream = await client.responses.create({ ...REQUEST, stream: true, metadata: { sim: 'mute' } });
      const muted = collect(stream);
      await eventually(() => expect(simulator.ledger.totals().completed).toBe(1));
      const id = simulator.ledger.entries()[0]?.response_id ?? '';
      const heard = await collect(await client.responses.retrieve(id, { stream: true }));
      expect(heard.at(-1)?.type).toBe('response.completed');
      stream.controller.abort();
      expect(await muted).toEqual([]);
    });
  });
});

describe('the response faults', () => {
  it('failed ends the response with sim_code, inside a 200', async () => {
    await withSimulator({}, async ({ client }) => {
      const metadata = { sim: 'failed', sim_code: 'invalid_prompt' };
      const { id } = await client.responses.create({ ...REQUEST, metadata });
      expect(await finished(client, id)).toMatchObject({
        status: 'failed',
        usage: null,
        error: { code: 'invalid_prompt', type: 'invalid_request_error' },
      });
    });
  });

  it('a failure is announced by a nested or a flat error event before response.failed', async () => {
    await withSimulator({}, async ({ client, url, simulator }) => {
      const stream = await client.responses.create({
        ...REQUEST,
        stream: true,
        metadata: { sim: 'error_event' },
      });
      await expect(collect(stream)).rejects.toMatchObject({ code: 'server_error' });
      const id = simulator.ledger.entries()[0]?.response_id ?? '';
      const raw = await (await fetch(`${url}/responses/${id}?stream=true`)).text();
      expect(raw.match(/event: (error|response\.failed)\n/g)).toEqual([
        'event: error\n',
        'event: response.failed\n',
      ]);
      const flat = await collect(
        await client.responses.create({ ...REQUEST, stream: true, metadata: { sim: 'error_event_flat' } }),
      );
      expect(flat.at(-2)).toMatchObject({ type: 'error', code: 'server_error', param: null });
      expect(flat.at(-1)?.type).toBe('response.failed');
      expect(flat.some((event) => event.type === 'response.output_text.done')).toBe(false);
    });
  });

  it.each([
    ['stuck_queued', 'queued'],
    ['stall', 'in_progress'],
  ])('a response with fault %s stays %s until it is cancelled', async (sim, status) => {
    await withSimulator({}, async ({ client }) => {
      const { id } = await client.responses.create({
        ...REQUEST,
        metadata: { sim, sim_think_ms: '1' },
      });
      await finished(client, (await client.responses.create({ ...REQUEST })).id);
      expect((await client.responses.retrieve(id)).status).toBe(status);
      expect((await client.responses.cancel(id)).status).toBe('cancelled');
    });
  });

  it('stall ends the events of a stream after sim_events events', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const seen = collect(
        await client.responses.create({
          ...REQUEST,
          stream: true,
          metadata: { sim: 'stall', sim_events: '5', sim_think_ms: '1' },
        }),
      );
      await finished(client, (await client.responses.create({ ...REQUEST })).id);
      await client.responses.cancel(simulator.ledger.entries()[0]?.response_id ?? '');
      expect((await seen).map((event) => event.sequence_number)).toEqual([0, 1, 2, 3, 4, 5]);
    });
  });

  it('end sets and removes fields of the finished response, in its last event and in lookups', async () => {
    await withSimulator({}, async ({ client }) => {
      const change = { set: { output: [], status: 'in_progress' }, unset: ['usage'] };
      const metadata = { sim: 'end', sim_end: JSON.stringify(change) };
      const events = await collect(await client.responses.create({ ...REQUEST, stream: true, metadata }));
      const last = events.at(-1);
      if (last?.type !== 'response.completed') throw new Error(`ended with ${last?.type}`);
      expect(last.response).toMatchObject(change.set);
      expect(last.response).not.toHaveProperty('usage');
      expect(await client.responses.retrieve(last.response.id)).toMatchObject(change.set);
    });
  });

  it('crlf ends lines as Windows does, and other_ids names an item otherwise in each event', async () => {
    await withSimulator({}, async ({ url }) => {
      const metadata = { sim: 'crlf, other_ids' };
      const reply = await fetch(`${url}/responses`, {
        method: 'POST',
        body: JSON.stringify({ ...REQUEST, stream: true, metadata }),
      });
      const lines = (await reply.text()).split('\n').slice(0, -1);
      expect(lines.every((line) => line.endsWith('\r'))).toBe(true);
      const ids = lines.flatMap((line) => /"item_id":"(\w+)"/.exec(line)?.[1] ?? []);
      expect(new Set(ids).size).toBe(ids.length);
    });
  });

  it('incomplete has only reasoning, and usage_null completes without usage', async () => {
    await withSimulator({}, async ({ client }) => {
      const ask = (sim: string) => client.responses.create({ model: 'o3', input: 'x', metadata: { sim } });
      const incomplete = await ask('incomplete');
      expect(incomplete).toMatchObject({ status: 'incomplete', output_text: '' });
      expect(incomplete.output.map((item) => item.type)).toEqual(['reasoning']);
      expect(await ask('usage_null')).toMatchObject({ status: 'completed', usage: null });
    });
  });
});

describe('the lookup faults', () => {
  it('gone makes every lookup of a response a 404', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const { id } = await client.responses.create({ ...REQUEST, metadata: { sim: 'gone' } });
      expect(await refusal(client.responses.retrieve(id))).toBeInstanceOf(OpenAI.NotFoundError);
      expect(await refusal(client.responses.cancel(id))).toBeInstanceOf(OpenAI.NotFoundError);
      expect(simulator.ledger.totals().purchases).toBe(1);
    });
  });

  it.each([
    ['poll_401', 401],
    ['poll_404', 404],
    ['poll_html', 403],
    ['poll_429', 429],
    ['poll_500', 500],
  ])('%s fails the first sim_polls lookups', async (sim, status) => {
    await withSimulator({}, async ({ client, simulator }) => {
      const { id } = await client.responses.create({ ...REQUEST, metadata: { sim, sim_polls: '2' } });
      expect((await refusal(client.responses.retrieve(id))).status).toBe(status);
      expect((await refusal(client.responses.retrieve(id))).status).toBe(status);
      expect((await client.responses.retrieve(id)).id).toBe(id);
      expect(simulator.ledger.entries()[0]?.polls).toBe(3);
    });
  });

  it('one create can have a stream fault and a lookup fault', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const stream = await client.responses.create({
        ...REQUEST,
        stream: true,
        metadata: { sim: 'cut, gone' },
      });
      await expect(collect(stream)).rejects.toThrow('terminated');
      const id = simulator.ledger.entries()[0]?.response_id ?? '';
      expect((await refusal(client.responses.retrieve(id))).status).toBe(404);
    });
  });
});
