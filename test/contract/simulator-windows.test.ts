import type OpenAI from 'openai';
import type { Response } from 'openai/resources/responses/responses';
import type { Simulator } from '../../simulator/simulator.ts';
import { eventually } from '../support/eventually.ts';
import { finished, refusal, withSimulator } from './simulator-world.ts';

/** At this scale a window of eight hours takes 200 ms. */
const SCALE = 144_000;
const WINDOW_MS = 200;
const IN_WINDOW = {
  model: 'gpt-6.2-sol',
  input: 'What can wait?',
  background: true,
  background_options: { completion_window: '8h', continuation_id: 'batch-7' },
};

function create(client: OpenAI, change: object = {}): Promise<Response> {
  const body = { ...IN_WINDOW, ...change };
  return client.responses.create({ ...body, stream: false });
}

/** boughtBy creates a response, waits for its end, and returns its line in the ledger. */
async function boughtBy(client: OpenAI, simulator: Simulator, change: object = {}) {
  const { id } = await create(client, change);
  await finished(client, id);
  const entry = simulator.ledger.entries().find(({ response_id }) => response_id === id);
  if (entry === undefined) throw new Error(`expected ${id} in the ledger`);
  return entry;
}

describe('completion windows', () => {
  it('a response comes within its window and tells neither the window nor the discount', async () => {
    await withSimulator({ windowScale: SCALE }, async ({ client, simulator }) => {
      const created = await create(client);
      expect(created.status).toBe('queued');
      const response = await finished(client, created.id);
      expect(response).toMatchObject({ status: 'completed', service_tier: 'default', store: true });
      expect(JSON.stringify(response)).not.toMatch(/window|continuation|discount/);
      const [entry] = simulator.ledger.entries();
      expect(entry).toMatchObject({ completion_window: '8h', continuation_id: 'batch-7' });
      expect(entry?.window_ends_at).toBeCloseTo((entry?.created_at ?? 0) + WINDOW_MS, -1);
      expect(entry?.ended_at).toBeLessThanOrEqual(entry?.window_ends_at ?? 0);
    });
  });

  it('answers come at many places of the window', async () => {
    const afterMs = async (seed: number): Promise<number[]> => {
      let times: number[] = [];
      await withSimulator({ windowScale: SCALE, seed, thinkMs: 0 }, async ({ client, simulator }) => {
        await Promise.all(Array.from({ length: 20 }, () => boughtBy(client, simulator)));
        times = simulator.ledger.entries().map(({ created_at, ended_at }) => (ended_at ?? 0) - created_at);
      });
      return times;
    };
    const times = await afterMs(1);
    expect(Math.min(...times)).toBeLessThan(WINDOW_MS / 2);
    expect(Math.max(...times)).toBeGreaterThan(WINDOW_MS / 2);
  });

  it('a lookup asks the caller to come back later while the response runs, and not afterwards', async () => {
    await withSimulator({ windowScale: 1000 }, async ({ client }) => {
      const pollAfter = async (change: object): Promise<string | null> => {
        const { id } = await create(client, change);
        const { response } = await client.responses.retrieve(id).withResponse();
        return response.headers.get('openai-poll-after-ms');
      };
      const long = { sim_think_ms: '60000' };
      expect(await pollAfter({ metadata: long })).toBe('300');
      expect(await pollAfter({ metadata: { ...long, sim_poll_after_ms: '7' } })).toBe('7');
      expect(await pollAfter({ metadata: { ...long, sim_poll_after_ms: '0' } })).toBeNull();
      expect(await pollAfter({ metadata: long, background_options: null })).toBeNull();
      expect(await pollAfter({ metadata: { sim_think_ms: '0' } })).toBeNull();
    });
  });

  it('the ledger bills the tokens of a window with its discount', async () => {
    const metadata = {
      sim_input_tokens: '300000',
      sim_cached_tokens: '100000',
      sim_cache_write_tokens: '50000',
      sim_cache_write_12h_tokens: '10000',
      sim_output_tokens: '100',
      sim_reasoning_tokens: '900',
    };
    await withSimulator({ windowScale: SCALE }, async ({ client, simulator }) => {
      const billed = async (window: string, change: object = {}) => {
        const options = { background_options: { completion_window: window }, metadata, ...change };
        const { cost_usd, list_usd } = await boughtBy(client, simulator, options);
        return [cost_usd, list_usd];
      };
      // Per million: 150,000 × $2 + 100,000 × $0.10 + 40,000 × $2.50 + 10,000 × $5 are $0.46 of input. It has
      // more than 272,000 tokens, so it costs twice as much, and 1,000 × $10 of output half as much again.
      expect(await billed('soonest')).toEqual([0.935, 0.935]);
      expect(await billed('2h')).toEqual([0.6545, 0.935]);
      expect(await billed('8h')).toEqual([0.561, 0.935]);
      expect(await billed('8h', { metadata: { ...metadata, sim: 'usage_null' } })).toEqual([null, null]);
    });
  });

  it.each<[string, object, string]>([
    ['a stream', { stream: true }, 'stream'],
    ['a foreground response', { background: false }, 'background'],
    ['another tier', { service_tier: 'priority' }, 'service_tier'],
    ["a project's own tier", { metadata: { sim_tier: 'priority' } }, 'service_tier'],
    ['another model', { model: 'o3' }, 'background_options.completion_window'],
    [
      'an unknown window',
      { background_options: { completion_window: '3h' } },
      'background_options.completion_window',
    ],
    ['a continuation that is no string', { background_options: { continuation_id: 7 } }, 'continuation_id'],
  ])('a window is refused for %s', async (_what, change, param) => {
    await withSimulator({}, async ({ client, simulator }) => {
      const body = { ...IN_WINDOW, ...change };
      expect(await refusal(client.responses.create(body))).toMatchObject({
        status: 400,
        type: 'invalid_request_error',
        param,
      });
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 1 });
    });
  });

  it('soonest is no window: neither a stream, a tier nor a model stands against it', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const soonest = { background_options: { completion_window: 'soonest' } };
      const body = { ...IN_WINDOW, ...soonest, model: 'o3', stream: true, service_tier: 'flex' as const };
      const stream = await client.responses.create({ ...body, stream: true });
      stream.controller.abort();
      expect(simulator.ledger.entries()).toMatchObject([
        { completion_window: 'soonest', window_ends_at: null, continuation_id: null },
      ]);
    });
  });

  it('a fault makes a response miss its window, end early, or lose its window', async () => {
    await withSimulator({ windowScale: SCALE }, async ({ client, simulator }) => {
      const missed = await boughtBy(client, simulator, { metadata: { sim: 'window_missed' } });
      expect(missed.ended_at).toBeGreaterThan(missed.window_ends_at ?? Number.POSITIVE_INFINITY);
      const early = await boughtBy(client, simulator, {
        metadata: { sim: 'window_early', sim_think_ms: '0' },
      });
      expect(early).toMatchObject({ completion_window: '8h', ended_at: early.created_at });
      const ignored = await boughtBy(client, simulator, { metadata: { sim: 'window_ignored' } });
      expect(ignored).toMatchObject({ completion_window: 'soonest', cost_usd: ignored.list_usd });
    });
  });

  it('a server that does not know windows refuses them and nothing else, or ignores them', async () => {
    const refused = { status: 400, param: 'background_options', code: 'unknown_parameter' };
    const body = { model: 'gpt-6.2-sol', input: 'x', background: true };
    await withSimulator({ windows: 'rejected' }, async ({ client }) => {
      expect(await refusal(create(client))).toMatchObject(refused);
      expect((await client.responses.create(body)).status).toBe('queued');
    });
    await withSimulator(
      { windows: { status: 422, json: { error: { message: 'no' } } } },
      async ({ client }) => {
        expect((await refusal(create(client))).status).toBe(422);
        expect((await client.responses.create(body)).status).toBe('queued');
      },
    );
    await withSimulator({ windows: 'ignored' }, async ({ client, simulator }) => {
      expect((await boughtBy(client, simulator, { model: 'o3' })).completion_window).toBe('soonest');
    });
    await withSimulator({}, async ({ client, simulator }) => {
      const metadata = { sim: 'window_refused', sim_times: '1' };
      const plain = { ...body, input: IN_WINDOW.input, metadata };
      expect((await client.responses.create(plain)).status).toBe('queued');
      expect(await refusal(create(client, { metadata }))).toMatchObject(refused);
      expect((await create(client, { metadata })).status).toBe('queued');
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 2, rejected: 1 });
    });
  });

  it('windowModels gives windows to other models', async () => {
    await withSimulator({ windowScale: SCALE, windowModels: ['o3'] }, async ({ client, simulator }) => {
      expect((await boughtBy(client, simulator, { model: 'o3' })).completion_window).toBe('8h');
      expect((await refusal(create(client))).param).toBe('background_options.completion_window');
    });
  });

  it('an answer in a window that is not stored is forgotten after ten minutes of its clock', async () => {
    await withSimulator({ windowScale: SCALE }, async ({ client, simulator }) => {
      const { id } = await create(client, { store: false });
      const kept = await create(client);
      await eventually(async () => {
        expect((await refusal(client.responses.retrieve(id))).status).toBe(404);
      });
      await finished(client, kept.id);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 2, completed: 2 });
      expect((await client.responses.retrieve(kept.id)).status).toBe('completed');
    });
  });
});
