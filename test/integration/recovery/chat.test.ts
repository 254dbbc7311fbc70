import { eventually } from '../../support/eventually.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { startProducerChild } from '../../support/worker/worker-child.ts';
import { TEST_LIMIT_MS, useTakeoverWorld } from '../../support/worlds/takeover-world.ts';

const here = useTakeoverWorld();

const asks = (content: string) => ({
  model: 'o3',
  messages: [{ role: 'user' as const, content }],
  metadata: { sim_think_ms: '2000', sim_deltas: '40' },
});

test(
  'a chat completion survives its worker and its producer, and is bought once and told once',
  async () => {
    await here.start();
    const killed = await here.addChild();
    const producer = await startProducerChild(here.world, { clockMs: 0 });
    const other = await startProducerChild(here.world, { clockMs: 0 });
    try {
      const { client } = openSdk(producer.url);
      let text = '';
      let reason: string | null | undefined;
      let isKilled = false;
      const stream = await client.chat.completions.create({ ...asks('Killed worker?'), stream: true });
      for await (const { id, choices } of stream) {
        text += choices[0]?.delta.content ?? '';
        reason = choices[0]?.finish_reason;
        if (isKilled || text === '') continue;
        isKilled = true;
        expect(id).toMatch(/^chatcmpl-[0-9a-f]{32}$/);
        await here.addChild();
        await killed.kill();
      }
      expect(isKilled).toBe(true);
      expect(reason).toBe('stop');
      expect(text.match(/This is a simulated answer/g)).toHaveLength(1);
      expect(text).toContain('Set OPENAI_API_KEY to get real answers');
      const { ledger } = here.world.simulator;
      expect(ledger.totals()).toMatchObject({ purchases: 1, completed: 1, cancels: 0 });

      const asked = asks('Killed producer?');
      const lost = openSdk(producer.url, { maxRetries: 0 }).client.chat.completions.create(asked);
      const broken = expect(lost).rejects.toThrow();
      await eventually(() => expect(ledger.totals().purchases).toBe(2));
      await producer.kill();
      await broken;
      const { choices } = await openSdk(other.url).client.chat.completions.create(asked);
      expect(choices[0]?.message.content).toContain('Killed producer?');
      expect(ledger.totals()).toMatchObject({ purchases: 2, completed: 2, cancels: 0 });
    } finally {
      await producer.kill();
      await other.kill();
    }
  },
  TEST_LIMIT_MS,
);
