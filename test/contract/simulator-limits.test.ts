import { createSimulator } from '../../simulator/simulator.ts';
import { eventually } from '../support/eventually.ts';
import { finished, refusal, withSimulator } from './simulator-world.ts';

const REQUEST = { model: 'o3', input: 'x', background: true } as const;

/** A create that uses exactly `tokens`. */
function using(tokens: number, metadata: Record<string, string> = {}) {
  return {
    ...REQUEST,
    metadata: {
      sim_input_tokens: String(tokens - 30),
      sim_reasoning_tokens: '20',
      sim_output_tokens: '10',
      ...metadata,
    },
  };
}

describe('the rate limits of the simulator', () => {
  it('every accepted create carries the rate-limit headers, in each mode', async () => {
    await withSimulator({ requestsPerMinute: 10, tokensPerMinute: 1000 }, async ({ client }) => {
      const create = async (mode: { background?: boolean; stream?: boolean }) => {
        const { response } = await client.responses.create({ ...using(100), ...mode }).withResponse();
        await response.body?.cancel().catch(() => undefined);
        return Object.fromEntries(
          [...response.headers].filter(([name]) => /^(x-ratelimit|retry)/.test(name)),
        );
      };
      expect(await create({})).toEqual({
        'x-ratelimit-limit-requests': '10',
        'x-ratelimit-limit-tokens': '1000',
        'x-ratelimit-remaining-requests': '9',
        'x-ratelimit-remaining-tokens': '900',
        'x-ratelimit-reset-requests': '1m0s',
        'x-ratelimit-reset-tokens': '1m0s',
      });
      expect(await create({ background: false })).toMatchObject({ 'x-ratelimit-remaining-tokens': '800' });
      expect(await create({ stream: true })).toMatchObject({ 'x-ratelimit-remaining-requests': '7' });
    });
  });

  it("a create over the limit gets OpenAI's 429 and is counted", async () => {
    await withSimulator({ requestsPerMinute: 10, tokensPerMinute: 1000 }, async ({ client, simulator }) => {
      await client.responses.create(using(900));
      const error = await refusal(client.responses.create(using(200)));
      expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'tokens' });
      expect(error.message).toMatch(
        /Limit 1000, Used 900, Requested 200\. Please try again in (1m0s|59\.\d+s)\./,
      );
      expect(error.headers?.get('retry-after')).toBe('60');
      expect(Number(error.headers?.get('retry-after-ms'))).toBeGreaterThan(50_000);
      expect(error.headers?.get('x-ratelimit-remaining-requests')).toBe('9');
      expect(error.headers?.get('x-ratelimit-remaining-tokens')).toBe('100');
      const large = await refusal(client.responses.create(using(1001)));
      expect(large.message).toContain('Request too large for o3');
      expect(large.headers?.get('retry-after')).toBeNull();
      await client.responses.create(using(100));
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 2, rejected: 2, throttled: 2 });
      expect(simulator.limits()['o3']).toMatchObject({
        peak: { requests: 2, tokens: 1000 },
        accepted: 2,
        refused: 2,
        tokens: 1000,
      });
    });
  });

  it('a create that is refused for another reason counts neither for the limit nor for sim_times', async () => {
    await withSimulator({ requestsPerMinute: 1 }, async ({ client, url, simulator }) => {
      const lost = using(100, { sim: 'reset_created', sim_times: '1' });
      expect((await refusal(client.responses.create(using(100, { sim: '429' })))).status).toBe(429);
      await client.responses.create(using(100));
      expect((await refusal(client.responses.create(lost))).status).toBe(429);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 2, throttled: 1 });
      await fetch(url.replace(/\/v1$/, '/simulator/ledger'), { method: 'DELETE' });
      await expect(client.responses.create(lost)).rejects.toThrow('Connection error');
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, throttled: 0 });
    });
  });

  it('GET /simulator/limits reports every model that has a limit or was asked for', async () => {
    const limits = { 'gpt-5': { tokensPerMinute: 50 } };
    await withSimulator({ models: ['o3', 'gpt-5', 'gpt-5.5'], limits }, async ({ client, url }) => {
      const { response } = await client.responses.create(using(100)).withResponse();
      expect(response.headers.get('x-ratelimit-limit-tokens')).toBeNull();
      const address = url.replace(/\/v1$/, '/simulator/limits');
      expect(await (await fetch(address)).json()).toEqual({
        models: {
          'gpt-5': {
            limits: { requests_per_minute: null, tokens_per_minute: 50 },
            used: { requests: 0, tokens: 0 },
            peak: { requests: 0, tokens: 0 },
            accepted: 0,
            refused: 0,
            tokens: 0,
            first_accepted_at: null,
            last_accepted_at: null,
          },
          o3: expect.objectContaining({
            limits: { requests_per_minute: null, tokens_per_minute: null },
            used: { requests: 1, tokens: 100 },
          }),
        },
      });
    });
  });

  it('a limit that is misspelt or out of range is refused', () => {
    expect(() => createSimulator({ requestsPerMinute: 0 })).toThrow('requestsPerMinute must be');
    const misspelt: object = { tokensPerMinuet: 5 };
    expect(() => createSimulator({ ...misspelt })).toThrow('Unknown simulator option: tokensPerMinuet');
  });
});

describe('what a response uses', () => {
  it('the usage of a response has the requested size, cached tokens and tier', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      const bill = { sim_input_tokens: '5000', sim_cached_tokens: '4096', sim_reasoning_tokens: '64' };
      const create = async (tier: 'flex' | 'priority' | 'auto', metadata: Record<string, string> = bill) => {
        const { id } = await client.responses.create({ ...REQUEST, service_tier: tier, metadata });
        return finished(client, id);
      };
      expect(await create('flex', { ...bill, sim_output_tokens: '36' })).toMatchObject({
        service_tier: 'flex',
        usage: {
          input_tokens: 5000,
          input_tokens_details: { cached_tokens: 4096 },
          output_tokens: 100,
          output_tokens_details: { reasoning_tokens: 64 },
          total_tokens: 5100,
        },
      });
      expect((await create('flex', { ...bill, sim_tier: 'default' })).service_tier).toBe('default');
      expect((await create('priority')).service_tier).toBe('priority');
      expect((await create('auto')).service_tier).toBe('default');
      expect(simulator.ledger.entries().map((entry) => entry.service_tier)).toEqual([
        'flex',
        'default',
        'priority',
        'default',
      ]);
      expect(simulator.ledger.entries()[0]).toMatchObject({ model: 'o3', snapshot: 'o3-2025-04-16' });
    });
  });

  it.each([
    [{ sim_input_tokens: '10', sim_cached_tokens: '11' }, 'metadata.sim_cached_tokens'],
    [{ sim_tier: 'auto' }, 'metadata.sim_tier'],
  ])('an impossible usage is refused: %j', async (metadata, param) => {
    await withSimulator({}, async ({ client }) => {
      const error = await refusal(client.responses.create({ ...REQUEST, metadata }));
      expect(error).toMatchObject({ status: 400, code: 'invalid_value', param });
    });
  });
});

describe('the most responses that ran at once', () => {
  it('the peak is counted in all and by model, and a reset starts it with the running responses', async () => {
    await withSimulator({}, async ({ client, simulator, url }) => {
      const stuck = { ...REQUEST, metadata: { sim: 'stuck_queued' } };
      const slow = { ...REQUEST, metadata: { sim_think_ms: '3600000' } };
      const first = await client.responses.create(stuck);
      const second = await client.responses.create(slow);
      await client.responses.create({ ...slow, model: 'gpt-5' });
      await client.responses.cancel(first.id);
      await client.responses.cancel(second.id);
      await client.responses.create(slow);
      expect(simulator.ledger.totals()).toMatchObject({
        running: 2,
        most_running: 3,
        most_running_by_model: { o3: 2, 'gpt-5': 1 },
      });
      await fetch(url.replace(/\/v1$/, '/simulator/ledger'), { method: 'DELETE' });
      expect(simulator.ledger.totals()).toMatchObject({ most_running: 2, most_running_by_model: { o3: 1 } });
    });
  });

  it('the peak counts a response only during its think time', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      for (let count = 1; count <= 3; count += 1) {
        await client.responses.create({ ...REQUEST, metadata: { sim_think_ms: '1' } });
        await eventually(() => expect(simulator.ledger.totals().completed).toBe(count));
      }
      expect(simulator.ledger.totals().most_running).toBe(1);
    });
  });
});
