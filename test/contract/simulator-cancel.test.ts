import { eventually } from '../support/eventually.ts';
import { collect, finished, refusal, withSimulator } from './simulator-world.ts';

const SLOW = { sim_think_ms: '60000' };

describe('the cancel route of the simulator', () => {
  it('a cancel ends a running response, and a second cancel gets the same answer', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const { id } = await client.responses.create({
        model: 'o3',
        input: 'x',
        background: true,
        metadata: SLOW,
      });
      const cancelled = await client.responses.cancel(id);
      expect(cancelled).toMatchObject({ id, status: 'cancelled', usage: null, completed_at: null });
      expect(await client.responses.cancel(id)).toEqual(cancelled);
      const [entry] = simulator.ledger.entries();
      expect(entry).toMatchObject({ state: 'cancelled', cancelled_at: expect.any(Number) });
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, cancelled: 1, cancels: 2 });
    });
  });

  it('a cancel ends a stream with a response.failed event that says cancelled, live and on replay', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const stream = await client.responses.create({
        model: 'o3',
        input: 'x',
        background: true,
        stream: true,
        metadata: SLOW,
      });
      const [entry] = simulator.ledger.entries();
      const id = entry?.response_id ?? '';
      await client.responses.cancel(id);
      const events = await collect(stream);
      const last = events.at(-1);
      expect(last).toMatchObject({ type: 'response.failed', response: { status: 'cancelled' } });
      expect(await collect(await client.responses.retrieve(id, { stream: true }))).toEqual(events);
    });
  });

  it('a cancelled response keeps the part of its message that was sent', async () => {
    await withSimulator({}, async ({ client }) => {
      const stream = await client.responses.create({
        model: 'o3',
        input: 'x',
        background: true,
        stream: true,
        metadata: { sim_think_ms: '5000', sim_deltas: '40' },
      });
      let id = '';
      for await (const event of stream) {
        if (event.type === 'response.created') id = event.response.id;
        if (event.type === 'response.output_text.delta') break;
      }
      const cancelled = await client.responses.cancel(id);
      const message = cancelled.output.at(-1);
      expect(message).toMatchObject({ type: 'message', status: 'in_progress' });
      expect(JSON.stringify(message)).toContain('This ');
    });
  });

  it.each([
    ['completed, made without stream', {}, false, 200],
    ['completed, made with stream', {}, true, 'Cannot cancel a completed response.'],
    ['failed', { sim: 'failed' }, false, 'Cannot cancel a failed response.'],
    ['incomplete', { sim: 'incomplete' }, false, 'Cannot cancel a response in terminal state.'],
  ])('a cancel of a response that is %s gets its own answer', async (_state, metadata, stream, expected) => {
    await withSimulator({}, async ({ client, simulator }) => {
      const request = { model: 'o3', input: 'x', background: true, metadata } as const;
      if (stream) await collect(await client.responses.create({ ...request, stream }));
      else await finished(client, (await client.responses.create(request)).id);
      const id = simulator.ledger.entries()[0]?.response_id ?? '';
      if (expected === 200) {
        expect((await client.responses.cancel(id)).status).toBe('completed');
        return;
      }
      const error = await refusal(client.responses.cancel(id));
      expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', message: `400 ${expected}` });
    });
  });

  it('a cancel is refused for a foreground response, and is a 404 for an unknown id', async () => {
    await withSimulator({}, async ({ client }) => {
      const { id } = await client.responses.create({ model: 'o3', input: 'x' });
      expect((await refusal(client.responses.cancel(id))).message).toContain(
        'Cannot cancel a synchronous response.',
      );
      expect((await refusal(client.responses.cancel('resp_none'))).status).toBe(404);
    });
  });

  it('a response with late_completion completes in spite of its cancel', async () => {
    await withSimulator({}, async ({ client }) => {
      const { id } = await client.responses.create({
        model: 'o3',
        input: 'x',
        background: true,
        metadata: { sim: 'late_completion', sim_think_ms: '700' },
      });
      expect((await client.responses.cancel(id)).status).toBe('cancelled');
      await eventually(async () => {
        const later = await client.responses.retrieve(id);
        expect(later.status).toBe('completed');
        expect(later.usage).not.toBeNull();
      });
    });
  });
});
