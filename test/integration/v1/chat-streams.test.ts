import type { OpenAI } from 'openai';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import { openSdk } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** OpenAI's own SDK, unmodified but for its base URL: chat completions as streams. */

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance();
  ({ client } = openSdk(instance.url));
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

const LONG = { sim_think_ms: '700', sim_deltas: '40' };
const asks = (content: string, metadata: Record<string, string> = {}) => ({
  model: 'o3',
  messages: [{ role: 'user' as const, content }],
  metadata,
});
const NOW = {
  type: 'function' as const,
  function: { name: 'now', parameters: { type: 'object', properties: { zone: { type: 'string' } } } },
};
const purchases = (): number => instance.simulator.ledger.totals().purchases;
const textIn = (chunks: readonly ChatCompletionChunk[]): string =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');

/** Returns the chunks before the error with which the stream ends. */
async function untilError(stream: AsyncIterable<ChatCompletionChunk>) {
  const told: ChatCompletionChunk[] = [];
  try {
    for await (const chunk of stream) told.push(chunk);
  } catch (error: unknown) {
    return { told, error };
  }
  throw new Error('the stream was expected to end with an error');
}

/** Returns the same job's whole answer: the same Idempotency-Key gives the same job. */
const both = async (asked: ReturnType<typeof asks> & object, key: string) => {
  const headers = { 'Idempotency-Key': key };
  const stream = client.chat.completions.stream(
    { ...asked, stream_options: { include_usage: true } },
    { headers },
  );
  const streamed = await stream.finalChatCompletion();
  const response = await client.responses.retrieve(streamed.id.replace('chatcmpl-', 'resp_'));
  return { streamed, response };
};

describe('a stream of a chat completion', () => {
  it('has its role first, its reason last, and the text of the response', async () => {
    const chunks: ChatCompletionChunk[] = [];
    for await (const chunk of await client.chat.completions.create({
      ...asks('Stream?', LONG),
      stream: true,
    })) {
      chunks.push(chunk);
    }
    expect(chunks[0]?.choices).toEqual([
      {
        index: 0,
        delta: { role: 'assistant', content: '', refusal: null },
        logprobs: null,
        finish_reason: null,
      },
    ]);
    expect(chunks.at(-1)?.choices).toEqual([{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }]);
    expect(chunks.filter(({ usage }) => usage !== undefined)).toEqual([]);
    const [first] = chunks;
    const response = await client.responses.retrieve(String(first?.id).replace('chatcmpl-', 'resp_'));
    expect(textIn(chunks)).toBe(response.output_text);
    expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
    expect(chunks.length).toBeGreaterThan(2);
    expect(purchases()).toBe(1);
  });

  it('is put together by the SDK’s helper, with its usage', async () => {
    const { streamed, response } = await both(asks('Helper?', LONG), 'helper');
    expect(streamed.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { role: 'assistant', content: response.output_text },
    });
    expect(streamed).toMatchObject({
      model: response.model,
      usage: { total_tokens: response.usage?.total_tokens },
    });
  });

  it('sends its first chunk within seconds while the model is silent', async () => {
    const gone = new AbortController();
    const stream = await client.chat.completions.create(
      { ...asks('First?', { sim: 'stall' }), stream: true },
      { signal: gone.signal, headers: { 'O3Q-On-Disconnect': 'cancel' } },
    );
    for await (const { choices } of stream) {
      expect(choices[0]?.delta.role).toBe('assistant');
      gone.abort();
    }
  });

  it('has the call of a tool', async () => {
    const asked = { ...asks('Call?'), tools: [NOW], tool_choice: 'required' as const };
    const chunks: ChatCompletionChunk[] = [];
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
      chunks.push(chunk);
    const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(calls[0]).toEqual({
      index: 0,
      id: expect.stringMatching(/^call_/),
      type: 'function',
      function: { name: 'now', arguments: '' },
    });
    expect(calls.slice(1).every(({ index, id }) => index === 0 && id === undefined)).toBe(true);
    const json = calls.map((each) => each.function?.arguments).join('');
    expect(JSON.parse(json)).toEqual({ zone: 'simulated' });
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('that the upstream refuses is an HTTP error with its status, as the whole answer is', async () => {
    for (const stream of [true, false]) {
      const refused = client.chat.completions.create({ ...asks('Refused?', { sim: '400' }), stream });
      await expect(refused).rejects.toMatchObject({ status: 400, type: 'invalid_request_error' });
    }
  });

  it('that fails ends with its error', async () => {
    const asked = asks('Fail?', { sim: 'failed', sim_code: 'invalid_prompt' });
    const { told, error } = await untilError(
      await client.chat.completions.create({ ...asked, stream: true }),
    );
    expect(told[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(error).toMatchObject({ code: 'invalid_prompt', type: 'invalid_request_error' });
  });

  it('whose attempt fails after a text ends with an error, and is whole for the next call', async () => {
    const asked = { ...asks('Twice?', { ...LONG, sim: 'failed', sim_times: '1' }), stream: true as const };
    const { told, error } = await untilError(await client.chat.completions.create(asked));
    expect(textIn(told)).not.toBe('');
    expect(error).toMatchObject({
      code: 'attempt_failed',
      message: expect.stringContaining(String(told[0]?.id)),
    });
    const second: ChatCompletionChunk[] = [];
    for await (const chunk of await client.chat.completions.create(asked)) second.push(chunk);
    expect(second[0]?.id).toBe(told[0]?.id);
    const response = await client.responses.retrieve(String(told[0]?.id).replace('chatcmpl-', 'resp_'));
    expect(textIn(second)).toBe(response.output_text);
    expect(purchases()).toBe(2);
  });
});
