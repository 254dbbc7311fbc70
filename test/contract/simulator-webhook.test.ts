import OpenAI from 'openai';
import { createSimulator } from '../../simulator/simulator.ts';
import { eventually } from '../support/eventually.ts';
import {
  openWebhookReceiver,
  type ReceivedWebhook,
  type WebhookReceiver,
} from '../support/http/webhook-receiver.ts';
import { finished, refusal, type SimulatorWorld, withSimulator } from './simulator-world.ts';

const SECRET = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;

type World = SimulatorWorld & { readonly receiver: WebhookReceiver };

async function withWebhooks(
  body: (world: World) => Promise<void>,
  { answer = () => 200, secret = SECRET }: { answer?: (n: number) => number; secret?: string } = {},
): Promise<void> {
  const receiver = await openWebhookReceiver(answer);
  try {
    await withSimulator({ webhookUrl: receiver.url, webhookSecret: secret }, (world) =>
      body({ ...world, receiver }),
    );
  } finally {
    await receiver.close();
  }
}

async function create({ client }: World, metadata: Record<string, string> = {}): Promise<string> {
  return (await client.responses.create({ model: 'o3', input: 'x', background: true, metadata })).id;
}

function received({ receiver }: World, count: number): Promise<ReceivedWebhook[]> {
  return eventually(() => {
    expect(receiver.received).toHaveLength(count);
    return receiver.received;
  });
}

/** Verifies a webhook as a customer of OpenAI does. */
function unwrap({ headers, body }: ReceivedWebhook, secret = SECRET): Promise<unknown> {
  return new OpenAI({ apiKey: 'none', webhookSecret: secret }).webhooks.unwrap(body, headers);
}

describe('the simulator’s webhooks', () => {
  it.each([
    ['whsec_ and base64', SECRET],
    ['plain text', 'any text, ü'],
  ])(
    'a webhook announces the end of a background response, and the official SDK verifies it with %s as the secret',
    async (_kind, secret) => {
      await withWebhooks(
        async (world) => {
          const id = await create(world);
          const [webhook] = await received(world, 1);
          if (webhook === undefined) throw new Error('expected a webhook');
          expect(await unwrap(webhook, secret)).toEqual({
            id: expect.stringMatching(/^evt_/),
            object: 'event',
            type: 'response.completed',
            created_at: expect.any(Number),
            data: { id },
          });
          await expect(unwrap(webhook, 'whsec_b3RoZXI=')).rejects.toThrow('signature');
          expect(webhook.headers).toMatchObject({
            'user-agent': 'OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)',
            'content-type': 'application/json',
            'webhook-id': expect.stringMatching(/^wh_/),
          });
          expect((await world.client.responses.retrieve(id)).status).toBe('completed');
          await eventually(() => expect(world.simulator.ledger.totals()).toMatchObject({ webhooks: 1 }));
        },
        { secret },
      );
    },
  );

  it.each([
    ['failed', { sim: 'failed' }],
    ['incomplete', { sim: 'incomplete' }],
    ['completed', { sim: 'reset_created' }],
  ])('a webhook announces that a response is %s', async (status, metadata) => {
    await withWebhooks(async (world) => {
      if (metadata.sim === 'reset_created') await expect(create(world, metadata)).rejects.toThrow();
      else await create(world, metadata);
      const [webhook] = await received(world, 1);
      expect(JSON.parse(webhook?.body ?? '')).toMatchObject({ type: `response.${status}` });
    });
  });

  it('a webhook announces a cancel at once, even of a response that would never have ended', async () => {
    await withWebhooks(async (world) => {
      const id = await create(world, { sim: 'stall' });
      await world.client.responses.cancel(id);
      const [webhook] = await received(world, 1);
      expect(JSON.parse(webhook?.body ?? '')).toMatchObject({ type: 'response.cancelled', data: { id } });
    });
  });

  it('a webhook is sent again unchanged until it is answered with 2xx; a redirect is a failure', async () => {
    await withWebhooks(
      async (world) => {
        await create(world);
        const all = await received(world, 3);
        await eventually(() => expect(world.simulator.ledger.totals()).toMatchObject({ webhooks: 1 }));
        expect(new Set(all.map(({ headers, body }) => `${headers['webhook-id']} ${body}`)).size).toBe(1);
        for (const webhook of all) await unwrap(webhook);
        expect(world.receiver.received).toHaveLength(3);
      },
      { answer: (n) => [500, 302][n] ?? 204 },
    );
  });

  it('a webhook can be lost, sent twice, sent late or forged', async () => {
    await withWebhooks(async (world) => {
      await finished(world.client, await create(world, { sim: 'webhook_lost' }));
      await create(world, { sim: 'webhook_twice' });
      const [first, second] = await received(world, 2);
      expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);

      const late = await create(world, { sim: 'webhook_late', sim_webhook_ms: '300' });
      await finished(world.client, late);
      expect(world.receiver.received).toHaveLength(2);
      const third = (await received(world, 3)).at(-1);
      expect(JSON.parse(third?.body ?? '')).toMatchObject({ data: { id: late } });

      await create(world, { sim: 'webhook_forged' });
      const forged = (await received(world, 4)).at(-1);
      if (forged === undefined) throw new Error('expected a forged webhook');
      await expect(unwrap(forged)).rejects.toThrow('does not match');
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 4, webhooks: 3 });
    });
  });

  it('no webhook is sent for a foreground response', async () => {
    await withWebhooks(async (world) => {
      await world.client.responses.create({ model: 'o3', input: 'x' });
      const id = await create(world);
      const [webhook] = await received(world, 1);
      expect(JSON.parse(webhook?.body ?? '')).toMatchObject({ data: { id } });
    });
  });

  it('webhooks need a URL and a secret, and webhook faults need both', async () => {
    expect(() => createSimulator({ webhookUrl: 'http://127.0.0.1:1/' })).toThrow('got only webhookUrl');
    expect(() => createSimulator({ webhookSecret: SECRET })).toThrow('got only webhookSecret');
    expect(() => createSimulator({ webhookUrl: 'example.test', webhookSecret: SECRET })).toThrow('http://');
    expect(() => createSimulator({ webhookUrl: 'http://127.0.0.1:1/', webhookSecret: 'whsec_?' })).toThrow(
      'base64',
    );
    await withSimulator({}, async ({ client }) => {
      const metadata = { sim: 'webhook_lost' };
      const call = client.responses.create({ model: 'o3', input: 'x', background: true, metadata });
      expect(await refusal(call)).toMatchObject({ status: 400, param: 'metadata.sim' });
    });
  });
});
