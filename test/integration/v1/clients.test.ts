import { describeWithOpenAiClients } from '../../support/openai/clients.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * Other people's clients of OpenAI's Responses API, unmodified but for their base URL: both know the
 * foreground alone, whole and streamed.
 */

const LONG_MS = 60_000;

describeWithOpenAiClients('the OpenAI door', (run) => {
  let instance: Instance;
  beforeAll(async () => {
    instance = await startInstance({
      simulator: { answer: ({ text }) => `This is an answer to "${text}".` },
    });
  });
  afterAll(() => instance.stop());

  describe('to the AI SDK', () => {
    let seen: unknown;
    beforeAll(async () => {
      instance.simulator.ledger.reset();
      seen = await run('ai-sdk.mjs', instance.url);
    }, LONG_MS);

    it('answers with the whole text', () => {
      expect(seen).toMatchObject({
        generated: {
          text: 'This is an answer to "Generated?".',
          finishReason: 'stop',
          totalTokens: expect.any(Number),
          responseId: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
        },
      });
    });

    it('streams the text', () => {
      expect(seen).toMatchObject({
        streamed: {
          text: expect.stringMatching(/^This is an answer to "Streamed\?"\./),
          finishReason: 'stop',
          totalTokens: expect.any(Number),
        },
      });
      const { streamed } = seen as { streamed: { deltas: string[]; text: string } };
      expect(streamed.deltas.length).toBeGreaterThan(1);
      expect(streamed.deltas.join('')).toBe(streamed.text);
    });

    it('calls functions', () => {
      const calls = [{ toolName: 'weather', input: { city: expect.any(String) } }];
      expect(seen).toMatchObject({ called: calls, calledInStream: calls });
    });

    it('passes the upstream’s error on, and is not retried', () => {
      expect(seen).toMatchObject({
        refused: { name: 'AI_APICallError', statusCode: 400, message: expect.stringContaining('refused') },
        failed: { name: 'AI_APICallError', message: expect.stringContaining('failed to generate') },
        failedInStream: [expect.stringContaining('failed to generate')],
      });
      expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 6, rejected: 1 });
    });
  });

  describe('to LangChain', () => {
    let seen: unknown;
    beforeAll(async () => {
      instance.simulator.ledger.reset();
      seen = await run('langchain.mjs', instance.url);
    }, LONG_MS);

    it('answers with the whole text', () => {
      expect(seen).toMatchObject({
        invoked: {
          text: 'This is an answer to "Invoked?".',
          totalTokens: expect.any(Number),
          responseId: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
          status: 'completed',
        },
      });
    });

    it('streams the text', () => {
      expect(seen).toMatchObject({
        streamed: {
          text: expect.stringMatching(/^This is an answer to "Streamed\?"\./),
          totalTokens: expect.any(Number),
        },
      });
      const { streamed } = seen as { streamed: { deltas: string[]; text: string } };
      expect(streamed.deltas.length).toBeGreaterThan(1);
      expect(streamed.deltas.join('')).toBe(streamed.text);
    });

    it('calls functions', () => {
      const call = { name: 'weather', args: { city: expect.any(String) } };
      expect(seen).toMatchObject({ called: call, calledInStream: call });
    });

    it('passes the upstream’s error on, and is not retried', () => {
      expect(seen).toMatchObject({
        refused: { status: 400, message: expect.stringContaining('refused') },
        failed: { message: expect.stringContaining('failed to generate') },
      });
      expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 5, rejected: 1 });
    });
  });
});
