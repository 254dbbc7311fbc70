import type { OpenAI } from 'openai';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { allOf, openSdk, reachedStatus, replayOf, textIn } from '../../support/openai/sdk.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** OpenAI's own SDK, unmodified but for its base URL: streams, in the foreground and in the background. */

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance();
  ({ client } = openSdk(instance.url));
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

const LONG = { sim_think_ms: '700', sim_deltas: '40' };
const asks = (input: string, metadata: Record<string, string> = LONG) => ({
  model: 'o3',
  input,
  metadata,
  reasoning: { summary: 'auto' as const },
});
const idIn = (events: readonly ResponseStreamEvent[]): string => {
  const [first] = events;
  if (first?.type !== 'response.created') throw new Error(`expected response.created, got ${first?.type}`);
  return first.response.id;
};
const inOrder = (events: readonly ResponseStreamEvent[]): void =>
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));

const numbersOf = (events: readonly ResponseStreamEvent[]): number[] =>
  events.map(({ sequence_number }) => sequence_number);
/** Returns the events before the error with which the stream ends. */
async function untilError(stream: AsyncIterable<ResponseStreamEvent>) {
  const told: ResponseStreamEvent[] = [];
  try {
    for await (const event of stream) told.push(event);
  } catch (error: unknown) {
    return { told, error };
  }
  throw new Error('the stream was expected to end with an error');
}

describe('a stream', () => {
  it.each([true, false])(
    '(background: %s) has each event once, in order, and can be read again',
    async (background) => {
      const live = await allOf(
        await client.responses.create({ ...asks('Stream?'), background, stream: true }),
      );
      inOrder(live);
      expect(live.slice(0, 3).map(({ type }) => type)).toEqual([
        'response.created',
        ...(background
          ? ['response.queued', 'response.in_progress']
          : ['response.in_progress', 'response.output_item.added']),
      ]);
      const last = live.at(-1);
      if (last?.type !== 'response.completed')
        throw new Error(`expected response.completed, got ${last?.type}`);
      const done = await client.responses.retrieve(idIn(live));
      expect(textIn(live)).toBe(done.output_text);
      expect(last.response.output).toEqual(done.output);
      expect(await replayOf(client, done.id)).toEqual(live);
      expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
    },
  );

  it('that is cut off goes on after its last event', async () => {
    const seen: ResponseStreamEvent[] = [];
    const first = await client.responses.create({
      ...asks('Drop?', { ...LONG, sim_think_ms: '2000' }),
      background: true,
      stream: true,
    });
    for await (const event of first) {
      seen.push(event);
      // Leaving the loop closes the connection.
      if (event.type === 'response.output_text.delta') break;
    }
    const id = idIn(seen);
    const starting_after = seen.at(-1)?.sequence_number ?? -1;
    expect(await client.responses.retrieve(id)).toMatchObject({ status: 'in_progress' });
    seen.push(...(await allOf(await client.responses.retrieve(id, { stream: true, starting_after }))));
    inOrder(seen);
    expect(seen).toEqual(await replayOf(client, id));
    expect(textIn(seen)).toBe((await client.responses.retrieve(id)).output_text);
  });

  it('has nothing after its last event', async () => {
    const whole = await allOf(
      await client.responses.create({ ...asks('End?', {}), background: true, stream: true }),
    );
    const starting_after = whole.length - 1;
    const rest = await client.responses.retrieve(idIn(whole), { stream: true, starting_after });
    expect(await allOf(rest)).toEqual([]);
  });

  it('of a response that was not streamed from the upstream has the same text', async () => {
    const { id } = await client.responses.create({ ...asks('Polled?', {}), background: true });
    const done = await reachedStatus(client, id, 'completed');
    const events = await replayOf(client, id);
    inOrder(events);
    expect(textIn(events)).toBe(done.output_text);
    expect(await replayOf(client, id)).toEqual(events);
  });

  it('of a second attempt is whole, and shares no number with the first', async () => {
    const asked = asks('Twice?', { ...LONG, sim: 'failed', sim_times: '1' });
    const { told: first, error } = await untilError(
      await client.responses.create({ ...asked, stream: true }),
    );
    inOrder(first);
    const id = idIn(first);
    expect(textIn(first)).not.toBe('');
    expect(error).toMatchObject({
      code: 'attempt_failed',
      message: expect.stringContaining(`An attempt at response ${id} failed after a part of its answer`),
      error: { response_id: id },
    });
    const second = await replayOf(client, id);
    expect(second.map(({ type }) => type).slice(0, 2)).toEqual(['response.created', 'response.in_progress']);
    const final = await client.responses.stream({ response_id: id }).finalResponse();
    expect(final).toMatchObject({ status: 'completed' });
    expect(textIn(second)).toBe(final.output_text);
    expect(numbersOf(second).slice(0, 2)).toEqual([0, 1]);
    // The `error` event has the number between the two attempts.
    expect(second[2]?.sequence_number).toBe(first.length + 1);
    expect(numbersOf(second.slice(2))).toEqual(second.slice(2).map((_, i) => first.length + 1 + i));
    expect(await replayOf(client, id)).toEqual(second);
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
  });

  it('that resumes after an event of a failed attempt ends with the error; resumed after the error it has the next attempt', async () => {
    const asked = asks('Read on?', { ...LONG, sim: 'failed', sim_times: '1' });
    const { told: first } = await untilError(await client.responses.create({ ...asked, stream: true }));
    const id = idIn(first);
    await reachedStatus(client, id, 'completed');
    const whole = await replayOf(client, id);
    const readOn = (starting_after: number) =>
      client.responses.retrieve(id, { stream: true, starting_after });
    const middle = first.findIndex(({ type }) => type === 'response.output_text.delta');
    const rest = await untilError(await readOn(middle));
    expect(rest.told).toEqual(first.slice(middle + 1));
    expect(rest.error).toMatchObject({ code: 'attempt_failed' });
    expect(await untilError(await readOn(first.length - 1))).toMatchObject({ told: [] });
    expect(await allOf(await readOn(first.length))).toEqual(whole.slice(2));
    // A cursor before the first text may continue with the next attempt: the reader has no text to repeat.
    for (const opening of [0, 1]) {
      expect(await allOf(await readOn(opening))).toEqual(whole.slice(opening + 1));
    }
  });

  it('of an attempt that failed before its first word goes on with the next, without a trace of the first', async () => {
    // The upstream has no background mode, so a response is lost with its connection.
    const other = await startInstance({ simulator: { background: 'rejected' } });
    const fault = { sim: 'cut', sim_events: '3', sim_times: '1' };
    const asked = { ...asks('Silent?', { ...LONG, ...fault }), reasoning: {} };
    const { client: its } = openSdk(other.url);
    try {
      const live = await allOf(await its.responses.create({ ...asked, stream: true }));
      inOrder(live);
      expect(live.filter(({ type }) => type === 'response.created')).toHaveLength(1);
      const final = await its.responses.retrieve(idIn(live));
      expect(textIn(live)).toBe(final.output_text);
      expect(live.at(-1)).toMatchObject({ type: 'response.completed', response: { output: final.output } });
      const opened = live.flatMap((event) =>
        event.type === 'response.output_item.added' ? [event.item.id] : [],
      );
      expect(opened).toEqual(final.output.map(({ id }) => id));
      expect(await replayOf(its, final.id)).toEqual(live);
      expect(other.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
    } finally {
      await other.stop();
    }
  });

  it('of a response that ran out of tokens ends as incomplete', async () => {
    const live = await allOf(
      await client.responses.create({ ...asks('Incomplete?', { sim: 'incomplete' }), stream: true }),
    );
    expect(live.at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
    });
  });

  it.each([true, false])(
    'of a response that fails (background: %s) ends with its error',
    async (background) => {
      const asked = asks('Fail?', { sim: 'failed', sim_code: 'invalid_prompt' });
      const live = await allOf(await client.responses.create({ ...asked, background, stream: true }));
      inOrder(live);
      expect(live.at(-1)).toMatchObject({
        type: 'response.failed',
        response: { status: 'failed', error: { code: 'invalid_prompt', type: 'invalid_request_error' } },
      });
      expect(await replayOf(client, idIn(live))).toEqual(live);
    },
  );
});

describe('the SDK’s own helper', () => {
  type Helper = ReturnType<OpenAI['responses']['stream']>;
  const told = async (stream: Helper) => {
    const events: ResponseStreamEvent[] = [];
    let text = '';
    stream.on('event', (event) => events.push(event));
    stream.on('response.output_text.delta', ({ delta }) => {
      text += delta;
    });
    return { final: await stream.finalResponse(), events, text };
  };

  it.each([undefined, true])('streams a new response (background: %s)', async (background) => {
    const asked = { ...asks('Helper?'), ...(background && { background }) };
    const { final, events, text } = await told(client.responses.stream(asked));
    inOrder(events);
    expect(final.output_text).toBe(text);
    expect(text).toContain('Helper?');
  });

  it('streams an existing response from its beginning or after an event', async () => {
    const { id } = await client.responses.create({ ...asks('Helper, later?'), background: true });
    const whole = await told(client.responses.stream({ response_id: id }));
    inOrder(whole.events);
    expect(whole.text).toBe(whole.final.output_text);
    const after = whole.events.findIndex(({ type }) => type === 'response.output_text.delta');
    const rest = await told(client.responses.stream({ response_id: id, starting_after: after }));
    expect(rest.events).toEqual(whole.events.slice(after + 1));
    expect(rest.final).toEqual(whole.final);
  });

  it('assembles a function call', async () => {
    const stream = client.responses.stream({
      ...asks('Call?', {}),
      tools: [
        { type: 'function', name: 'now', parameters: { type: 'object', properties: {} }, strict: false },
      ],
      tool_choice: { type: 'function', name: 'now' },
    });
    const { final } = await told(stream);
    expect(final.output.at(-1)).toMatchObject({ type: 'function_call', name: 'now', arguments: '{}' });
  });
});
