import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { eventually } from '../support/eventually.ts';
import { collect, refusal, THINK_MS, withSimulator } from './simulator-world.ts';

const REQUEST = { model: 'o3', input: 'Prove it.', background: true, stream: true } as const;

function types(events: readonly ResponseStreamEvent[]): string[] {
  const names = events.map((event) => event.type.replace('response.', ''));
  return names.filter((name, index) => name !== names[index - 1]);
}

function textOf(events: readonly ResponseStreamEvent[]): string {
  return events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
}

describe('the simulator as a stream', () => {
  it('the events of a background response come in order, numbered from 0', async () => {
    await withSimulator({}, async ({ client }) => {
      const events = await collect(
        await client.responses.create({ ...REQUEST, reasoning: { summary: 'auto' } }),
      );
      expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
      expect(types(events)).toEqual([
        'created',
        'queued',
        'in_progress',
        'output_item.added',
        'reasoning_summary_part.added',
        'reasoning_summary_text.delta',
        'reasoning_summary_text.done',
        'reasoning_summary_part.done',
        'output_item.done',
        'output_item.added',
        'content_part.added',
        'output_text.delta',
        'output_text.done',
        'content_part.done',
        'output_item.done',
        'completed',
      ]);
      const last = events.at(-1);
      if (last?.type !== 'response.completed') throw new Error(`ended with ${last?.type}`);
      expect(JSON.stringify(last.response.output)).toContain(JSON.stringify(textOf(events)).slice(1, -1));
    });
  });

  it('a foreground stream has no queued event, and no summary unless requested', async () => {
    await withSimulator({}, async ({ client }) => {
      const events = await collect(await client.responses.create({ ...REQUEST, background: false }));
      expect(types(events).slice(0, 4)).toEqual([
        'created',
        'in_progress',
        'output_item.added',
        'output_item.done',
      ]);
      expect(events[0]).toMatchObject({ response: { status: 'in_progress' } });
    });
  });

  it('a cut stream resumes after the cursor, and no event is lost or repeated', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const metadata = { sim: 'cut', sim_events: '7' };
      const seen: ResponseStreamEvent[] = [];
      const drain = async () => {
        for await (const event of await client.responses.create({ ...REQUEST, metadata })) seen.push(event);
      };
      await expect(drain()).rejects.toThrow('terminated');
      expect(seen.map((event) => event.sequence_number)).toEqual([0, 1, 2, 3, 4, 5, 6]);
      const [first] = seen;
      if (first?.type !== 'response.created') throw new Error(`began with ${first?.type}`);
      const rest = await collect(
        await client.responses.retrieve(first.response.id, { stream: true, starting_after: 6 }),
      );
      const whole = await collect(await client.responses.retrieve(first.response.id, { stream: true }));
      expect([...seen, ...rest]).toEqual(whole);
      expect(whole.at(-1)?.type).toBe('response.completed');
      expect(simulator.ledger.totals().purchases).toBe(1);
    });
  });

  it('no event comes after the last one', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const events = await collect(await client.responses.create(REQUEST));
      const id = simulator.ledger.entries()[0]?.response_id ?? '';
      const cursor = events.length - 1;
      expect(
        await collect(await client.responses.retrieve(id, { stream: true, starting_after: cursor })),
      ).toEqual([]);
    });
  });

  it("the SDK's streaming helper reads a stream, live and on replay", async () => {
    await withSimulator({}, async ({ client }) => {
      const live = client.responses.stream({ model: 'o3', input: 'Prove it.', background: true });
      const response = await live.finalResponse();
      expect(response.output_text).toContain('Prove it.');
      const replay = client.responses.stream({ response_id: response.id, starting_after: 3 });
      const numbers: number[] = [];
      replay.on('event', (event) => numbers.push(event.sequence_number));
      expect((await replay.finalResponse()).output_text).toBe(response.output_text);
      expect(numbers[0]).toBe(4);
    });
  });

  it('deltas are padded unless the caller declines', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const padded = await collect(await client.responses.create(REQUEST));
      const deltas = padded.filter((event) => event.type === 'response.output_text.delta');
      expect(deltas.every((event) => 'obfuscation' in event)).toBe(true);
      const id = simulator.ledger.entries()[0]?.response_id ?? '';
      const plain = await collect(
        await client.responses.retrieve(id, { stream: true, include_obfuscation: false }),
      );
      expect(plain.length).toBe(padded.length);
      expect(plain.some((event) => 'obfuscation' in event)).toBe(false);
    });
  });

  it('a silent stream gets numbered keepalives', async () => {
    await withSimulator({ keepaliveMs: THINK_MS / 8 }, async ({ client }) => {
      const events = await collect(await client.responses.create(REQUEST));
      expect(types(events)).toContain('keepalive');
      expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    });
  });

  it('a background response goes on when its reader leaves', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      for await (const event of await client.responses.create(REQUEST)) {
        if (event.type === 'response.created') break;
      }
      await eventually(() => expect(simulator.ledger.totals().completed).toBe(1));
    });
  });

  it('a foreground response stops when its reader leaves', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const metadata = { sim_think_ms: '60000' };
      for await (const event of await client.responses.create({ ...REQUEST, background: false, metadata })) {
        if (event.type === 'response.created') break;
      }
      await eventually(() => expect(simulator.ledger.totals().cancelled).toBe(1));
    });
  });

  it('a response that was not created as a stream, or is too old, cannot be streamed', async () => {
    await withSimulator({ streamWindowMs: THINK_MS }, async ({ client, simulator }) => {
      const plain = await client.responses.create({ ...REQUEST, stream: false });
      const foreground = await client.responses.create({ ...REQUEST, stream: false, background: false });
      await collect(await client.responses.create(REQUEST));
      const streamed = simulator.ledger.entries().at(-1)?.response_id ?? '';
      const attach = (id: string) => refusal(client.responses.retrieve(id, { stream: true }));
      expect(await attach(foreground.id)).toMatchObject({
        status: 400,
        param: 'stream',
        message: '400 This response cannot be streamed because it was not created with background=true.',
      });
      expect(await attach(plain.id)).toMatchObject({
        status: 400,
        param: 'stream',
        message: '400 This response cannot be streamed because it was not created with stream=true.',
      });
      await eventually(async () =>
        expect(await attach(streamed)).toMatchObject({
          status: 400,
          message: '400 This response can no longer be streamed because it is more than 5 minutes old.',
        }),
      );
    });
  });
});
