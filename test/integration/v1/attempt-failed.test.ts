import { readSse } from '../../support/http/sse-reader.ts';
import { allOf, openSdk, textIn } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

describe('a stream that ended with attempt_failed', () => {
  const body = (input: string) => ({
    model: 'o3',
    input,
    metadata: { sim_think_ms: '700', sim_deltas: '40', sim: 'failed', sim_times: '1' },
    stream: true as const,
  });

  it.each([
    ['the same request', {}],
    ['the same Idempotency-Key', { 'Idempotency-Key': 'the stream broke' }],
    ['the same request, which is cancelled at a disconnect', { 'O3Q-On-Disconnect': 'cancel' }],
  ])('goes on whole for a call with %s', async (name, headers) => {
    const { client } = openSdk(instance.url);
    let told = '';
    const first = await client.responses.create(body(name), { headers });
    await expect(
      (async () => {
        for await (const event of first) if (event.type === 'response.output_text.delta') told += event.delta;
      })(),
    ).rejects.toMatchObject({ code: 'attempt_failed' });
    expect(told).not.toBe('');
    const second = await allOf(await client.responses.create(body(name), { headers }));
    const last = second.at(-1);
    if (last?.type !== 'response.completed') throw new Error(`expected an end, got ${last?.type}`);
    expect(second.filter(({ type }) => type === 'response.created')).toHaveLength(1);
    expect(textIn(second)).toBe((await client.responses.retrieve(last.response.id)).output_text);
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 2, cancels: 0 });
  });

  it('is one that /jobs/:id/events tells in two attempts', async () => {
    const text = await (
      await fetch(`${instance.url}/v1/responses`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body('Both doors?')),
      })
    ).text();
    const id = /"id":"(resp_[0-9a-f]+)"/.exec(text)?.[1] ?? '';
    const events = await readSse(`${instance.url}/jobs/${id.replace(/^resp_/, 'job_')}/events`);
    expect(events.filter(({ event }) => event === 'attempt')).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ event: 'done', data: { status: 'completed' } });
  });
});
