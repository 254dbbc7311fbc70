import { LogBatch } from '../../../src/events/event-log.ts';
import type { ResponseEvent } from '../../../src/responses/event.ts';
import { answerOf, type UpstreamResponse } from '../../../src/responses/response.ts';
import { createHeard, withHeard } from '../../../worker/attempt/heard.ts';
import { call, message, streamOf } from '../../support/openai/streamed-items.ts';

const ended: UpstreamResponse = { id: 'resp_1', model: 'o3', status: 'completed' };

/** A worker that has heard `events`, and a log that has `logged` of them; before them another response. */
function after(events: readonly ResponseEvent[], logged = events, earlierCharacters = 0) {
  const heard = createHeard(earlierCharacters);
  for (const event of events) heard.add(event);
  const entryOf = (purchase: number, batched: readonly ResponseEvent[]): string[] => {
    const batch = new LogBatch();
    for (const event of batched) batch.add(event);
    return ['a', '1', 'p', String(purchase), 'e', batch.take()];
  };
  const done: string[] = [];
  const entries = [entryOf(1, streamOf([message('msg_0', 'Of another response.')])), entryOf(2, logged)];
  return {
    done,
    end: (response: UpstreamResponse) =>
      withHeard(
        response,
        heard,
        { flush: async () => void done.push('flush') },
        {
          eventLog: async () => {
            done.push('read');
            return { entries, purchase: 2 };
          },
        },
      ),
  };
}

const item = message('msg_1', 'It is heavy.');

it('A response that ends whole is left as it is, and nothing is read', async () => {
  const { end, done } = after(streamOf([item]));
  const whole = { ...ended, output: [item] };
  expect(await end(whole)).toBe(whole);
  expect(done).toEqual([]);
});

it('Commentary that was streamed is no lost part of the answer', async () => {
  const output = [
    { ...message('msg_1', 'Let me see.'), phase: 'commentary' },
    { ...message('msg_2', 'Yes.'), phase: 'final_answer' },
  ];
  const { end, done } = after(streamOf(output));
  const whole = { ...ended, output };
  expect(await end(whole)).toBe(whole);
  expect(done).toEqual([]);
});

it.each([
  ['an empty output', []],
  ['no output', undefined],
  ['half of its text', [message('msg_1', 'It is')]],
  ['an empty message', [message('msg_1', '')]],
])('A response that ends with %s is completed from the event log', async (_what, output) => {
  const { end, done } = after(streamOf([item]));
  expect(await end({ ...ended, output })).toEqual({ ...ended, output: [item] });
  expect(done).toEqual(['flush', 'read']);
});

it('A worker that adopts a response keeps what the worker before it received', async () => {
  const events = streamOf([item]);
  const { end } = after(events.slice(4), events, 'It is '.length);
  expect(answerOf(await end({ ...ended, output: [] }))).toBe('It is heavy.');
});

it('An answer of which a part is lost says so', async () => {
  const events = streamOf([item]);
  const { end } = after(events, events.slice(0, 3));
  const response = await end({ ...ended, output: [] });
  expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'stream_lost' } });
  expect(answerOf(response)).toBe('It ');
});

it('A call whose end is lost is no empty answer', async () => {
  const events = streamOf([call('fc_1', 'pay', '{}')]);
  const { end } = after(events, events.slice(0, 1));
  expect(await end({ ...ended, output: [] })).toMatchObject({
    ...{ status: 'incomplete', incomplete_details: { reason: 'stream_lost' }, output: [] },
  });
});

it.each(['failed', 'cancelled'])('A response that has %s is no answer', async (status) => {
  const { end, done } = after(streamOf([item]));
  await end({ ...ended, status, output: [] });
  expect(done).toEqual([]);
});
