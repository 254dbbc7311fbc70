import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { collect, finished, refusal, withSimulator } from './simulator-world.ts';

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
