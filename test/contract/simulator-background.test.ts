import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { finished, refusal, THINK_MS, withSimulator } from './simulator-world.ts';

const QUESTION = 'How many primes are below a million?';

describe('the simulator in the background', () => {
  it('a background response goes from queued to in_progress to completed', async () => {
    await withSimulator({}, async ({ client }) => {
      const created = await client.responses.create({
        model: 'o3',
        input: QUESTION,
        background: true,
        metadata: { sim_think_ms: '400' },
      });
      expect(created).toMatchObject({
        object: 'response',
        status: 'queued',
        background: true,
        model: 'o3-2025-04-16',
        output: [],
        usage: null,
        error: null,
        completed_at: null,
        service_tier: 'auto',
      });
      expect(created.id).toMatch(/^resp_[0-9a-f]{48}$/);
      await eventually(async () => {
        expect((await client.responses.retrieve(created.id)).status).toBe('in_progress');
      });
      const done = await finished(client, created.id);
      expect(done.status).toBe('completed');
      expect(done.service_tier).toBe('default');
      expect(done.completed_at).toBeGreaterThanOrEqual(done.created_at);
      expect(done.output_text).toContain('simulated answer');
      expect(done.output_text).toContain(QUESTION);
    });
  });

  it('the token counts of a response add up, and its output tokens include the reasoning', async () => {
    await withSimulator({}, async ({ client }) => {
      const { usage } = await client.responses.create({ model: 'o3', input: QUESTION });
      if (!usage) throw new Error('a completed response must have usage');
      expect(usage.output_tokens_details.reasoning_tokens).toBeGreaterThan(0);
      expect(usage.output_tokens).toBeGreaterThan(usage.output_tokens_details.reasoning_tokens);
      expect(usage.total_tokens).toBe(usage.input_tokens + usage.output_tokens);
    });
  });

  it('a response ends incomplete when max_output_tokens is used up', async () => {
    await withSimulator({}, async ({ client }) => {
      const cut = await client.responses.create({ model: 'o3', input: QUESTION, max_output_tokens: 650 });
      expect(cut).toMatchObject({
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
        usage: { output_tokens: 650 },
        completed_at: null,
      });
      expect(cut.output_text).not.toBe('');
      const spent = await client.responses.create({ model: 'o3', input: QUESTION, max_output_tokens: 16 });
      expect(spent.output.map((item) => item.type)).toEqual(['reasoning']);
    });
  });

  it('a response calls the function that tool_choice requires', async () => {
    await withSimulator({}, async ({ client }) => {
      const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
      const response = await client.responses.create({
        model: 'o3',
        input: 'Weather?',
        tools: [{ type: 'function', name: 'weather', parameters, strict: true }],
        tool_choice: 'required',
      });
      expect(response.status).toBe('completed');
      expect(response.output.at(-1)).toMatchObject({
        type: 'function_call',
        name: 'weather',
        arguments: '{"city":"simulated"}',
        status: 'completed',
      });
    });
  });

  it('a foreground call is answered after the think time, and its response is kept', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const response = await client.responses.create({ model: 'gpt-5.6-sol', input: QUESTION });
      expect(response).toMatchObject({ status: 'completed', background: false, model: 'gpt-5.6-sol' });
      expect(await client.responses.retrieve(response.id)).toEqual(response);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1, running: 0 });
    });
  });

  it('a foreground response in flight cannot be looked up, and stops when its caller hangs up', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const caller = new AbortController();
      const call = client.responses.create(
        { model: 'o3', input: QUESTION, metadata: { sim_think_ms: '60000' } },
        { signal: caller.signal },
      );
      const id = await eventually(() => {
        const [entry] = simulator.ledger.entries();
        if (!entry) throw new Error('nothing bought yet');
        return entry.response_id;
      });
      expect((await refusal(client.responses.retrieve(id))).status).toBe(404);
      expect((await refusal(client.responses.cancel(id))).message).toContain(
        'Cannot cancel a synchronous response.',
      );
      caller.abort();
      await expect(call).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
      await eventually(() => expect(simulator.ledger.totals()).toMatchObject({ cancelled: 1, running: 0 }));
    });
  });

  it('a create is refused if its previous_response_id does not exist', async () => {
    await withSimulator({}, async ({ client }) => {
      const first = await client.responses.create({ model: 'o3', input: 'One?' });
      const second = await client.responses.create({
        model: 'o3',
        input: 'Two?',
        previous_response_id: first.id,
      });
      expect(second.previous_response_id).toBe(first.id);
      const error = await refusal(
        client.responses.create({ model: 'o3', input: 'x', previous_response_id: 'resp_none' }),
      );
      expect(error).toMatchObject({ status: 400, code: 'previous_response_not_found' });
    });
  });

  it('a response is forgotten after its retention time, but its purchase stays in the ledger', async () => {
    await withSimulator({ retentionMs: THINK_MS }, async ({ client, simulator }) => {
      const kept = await client.responses.create({ model: 'o3', input: 'x' });
      await eventually(async () => {
        expect((await refusal(client.responses.retrieve(kept.id))).status).toBe(404);
      });
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1 });
    });
  });

  it('a finished response can be deleted once, and one in flight cannot', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const running = await client.responses.create({
        model: 'o3',
        input: 'x',
        background: true,
        metadata: { sim_think_ms: '60000' },
      });
      expect((await refusal(client.responses.delete(running.id))).message).toContain(
        'Cannot delete an in-flight response.',
      );
      await client.responses.cancel(running.id);
      await client.responses.delete(running.id);
      const error = await refusal(client.responses.delete(running.id));
      expect(error.message).toContain(`Response with id '${running.id}' not found.`);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, cancelled: 1 });
    });
  });

  it('input items are listed in pages, newest first', async () => {
    await withSimulator({}, async ({ client }) => {
      const input = ['one', 'two', 'three'].map((content) => ({ role: 'user' as const, content }));
      const { id } = await client.responses.create({ model: 'o3', input });
      const texts: string[] = [];
      for await (const item of client.responses.inputItems.list(id, { limit: 2 })) {
        expect(item.id).toMatch(/^msg_/);
        texts.push(JSON.stringify('content' in item ? item.content : item));
      }
      expect(texts).toEqual(
        ['three', 'two', 'one'].map((text) => JSON.stringify([{ type: 'input_text', text }])),
      );
    });
  });

  it('models are listed with their shutdown dates', async () => {
    await withSimulator({}, async ({ client }) => {
      const names: string[] = [];
      for await (const model of client.models.list()) names.push(model.id);
      expect(names).toEqual(expect.arrayContaining(['o3', 'gpt-5.6-sol', 'gpt-5.6-terra', 'gpt-5.6-luna']));
      expect(await client.models.retrieve('o3')).toMatchObject({ id: 'o3', shutdown_date: '2026-12-11' });
      expect((await refusal(client.models.retrieve('o9'))).code).toBe('model_not_found');
    });
  });
});
