import OpenAI from 'openai';
import { finished, refusal, withSimulator } from './simulator-world.ts';

const REQUEST = { model: 'o3', input: 'x', background: true } as const;

describe('the create faults', () => {
  it.each([
    ['400', OpenAI.BadRequestError, 400, 'invalid_value'],
    ['429', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
    ['429_bare', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
    ['429_quota', OpenAI.RateLimitError, 429, 'insufficient_quota'],
    ['500', OpenAI.InternalServerError, 500, null],
    ['503', OpenAI.InternalServerError, 503, 'server_is_overloaded'],
    ['502_html', OpenAI.InternalServerError, 502, undefined],
    ['401', OpenAI.AuthenticationError, 401, 'invalid_api_key'],
    ['402', OpenAI.APIError, 402, 402],
    ['400_billing', OpenAI.BadRequestError, 400, 'billing_hard_limit_reached'],
    ['403_html', OpenAI.PermissionDeniedError, 403, undefined],
    ['404_path', OpenAI.NotFoundError, 404, undefined],
    ['400_busy', OpenAI.BadRequestError, 400, 'conversation_locked'],
    ['422_detail', OpenAI.UnprocessableEntityError, 422, undefined],
    ['429_large', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
    ['429_hour', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
    ['429_zero', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
    ['498', OpenAI.APIError, 498, 'flex_capacity'],
  ])('a create with fault %s is refused and is no purchase', async (sim, type, status, code) => {
    await withSimulator({}, async ({ client, simulator }) => {
      const error = await refusal(client.responses.create({ ...REQUEST, metadata: { sim } }));
      expect(error).toBeInstanceOf(type);
      expect(error.status).toBe(status);
      expect(error.code).toBe(code);
      expect(error.headers?.get('x-request-id')).toMatch(/^req_/);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 1, requests: 1 });
    });
  });

  it('a 429 has Retry-After, and 429_bare has none', async () => {
    await withSimulator({}, async ({ client }) => {
      const metadata = { sim: '429', sim_retry_after_ms: '1500' };
      const patient = await refusal(client.responses.create({ ...REQUEST, metadata }));
      expect(patient.headers?.get('retry-after')).toBe('2');
      expect(patient.headers?.get('retry-after-ms')).toBe('1500');
      const bare = await refusal(client.responses.create({ ...REQUEST, metadata: { sim: '429_bare' } }));
      expect(bare.headers?.get('retry-after')).toBeNull();
      expect(bare.headers?.get('retry-after-ms')).toBeNull();
    });
  });

  it('a fault happens sim_times times for each sim_key, and then the create succeeds', async () => {
    await withSimulator({}, async ({ client }) => {
      const ask = (key: string) =>
        client.responses.create({ ...REQUEST, metadata: { sim: '503', sim_times: '2', sim_key: key } });
      await expect(ask('a')).rejects.toMatchObject({ status: 503 });
      await expect(ask('a')).rejects.toMatchObject({ status: 503 });
      expect((await ask('a')).status).toBe('queued');
      await expect(ask('b')).rejects.toMatchObject({ status: 503 });
    });
  });

  it('reset drops the connection before the purchase, and reset_created after it', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      await expect(
        client.responses.create({ ...REQUEST, metadata: { sim: 'reset' } }),
      ).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 1 });
      await expect(
        client.responses.create({ ...REQUEST, metadata: { sim: 'reset_created' } }),
      ).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 1 });
      const [lost] = simulator.ledger.entries();
      expect((await finished(client, lost?.response_id ?? '')).status).toBe('completed');
    });
  });

  it.each([
    ['hang', 0],
    ['hang_created', 1],
  ])('a create with fault %s gets no answer, and the ledger has %d purchases', async (sim, purchases) => {
    await withSimulator({}, async ({ url, simulator }) => {
      const call = fetch(`${url}/responses`, {
        method: 'POST',
        body: JSON.stringify({ ...REQUEST, metadata: { sim } }),
        signal: AbortSignal.timeout(100),
      });
      await expect(call).rejects.toMatchObject({ name: 'TimeoutError' });
      expect(simulator.ledger.totals()).toMatchObject({ purchases });
    });
  });

  it('refuse and poll_refuse answer with the reply that sim_refusal describes', async () => {
    await withSimulator({}, async ({ client }) => {
      const reply = {
        status: 402,
        json: { error: { message: 'No credits', code: 402 } },
        headers: { 'retry-after': '7' },
      };
      const metadata = { sim: 'refuse', sim_refusal: JSON.stringify(reply) };
      const refused = await refusal(client.responses.create({ ...REQUEST, metadata }));
      expect(refused).toMatchObject({ status: 402, error: reply.json.error });
      expect(refused.headers?.get('retry-after')).toBe('7');
      const page = JSON.stringify({ status: 418, html: '<title>Tea</title>' });
      const { id } = await client.responses.create({
        ...REQUEST,
        metadata: { sim: 'poll_refuse', sim_refusal: page },
      });
      expect(await refusal(client.responses.retrieve(id))).toMatchObject({ status: 418 });
      expect((await client.responses.retrieve(id)).id).toBe(id);
      const misspelt = { sim: 'refuse', sim_refusal: '{"statsu": 402}' };
      expect((await refusal(client.responses.create({ ...REQUEST, metadata: misspelt }))).message).toContain(
        'statsu',
      );
    });
  });

  it('a server refuses background mode and streams in the words that it was given', async () => {
    const given = (words: string) => ({ status: 422, json: { detail: words } });
    await withSimulator({ background: given('no background') }, async ({ client }) => {
      await expect(client.responses.create(REQUEST)).rejects.toMatchObject({ status: 422 });
      expect((await client.responses.create({ model: 'o3', input: 'x' })).status).toBe('completed');
    });
    await withSimulator({ streams: given('no streams') }, async ({ client }) => {
      await expect(client.responses.create({ ...REQUEST, stream: true })).rejects.toMatchObject({
        status: 422,
      });
      expect((await client.responses.create(REQUEST)).status).toBe('queued');
    });
  });

  it('an outage answers every create with the reply that it was given', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      simulator.setWeather({ refuse: { status: 403, text: 'RBAC: access denied' } });
      await expect(client.responses.create(REQUEST)).rejects.toMatchObject({ status: 403 });
      simulator.setWeather({ refuse: 'none' });
      expect((await client.responses.create(REQUEST)).status).toBe('queued');
    });
  });

  it('a misspelt fault or parameter is refused with the list of the right ones', async () => {
    await withSimulator({}, async ({ client }) => {
      const fault = await refusal(client.responses.create({ ...REQUEST, metadata: { sim: '42' } }));
      expect(fault).toMatchObject({ status: 400, param: 'metadata.sim' });
      expect(fault.message).toContain("'429_quota'");
      const parameter = await refusal(client.responses.create({ ...REQUEST, metadata: { sim_time: '1' } }));
      expect(parameter.message).toContain('sim_times');
      const twice = await refusal(client.responses.create({ ...REQUEST, metadata: { sim: '429,500' } }));
      expect(twice.message).toContain('only one of them');
    });
  });
});
