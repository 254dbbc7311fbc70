import { answerStream } from '../../../producer/v1/answer-stream.ts';
import { chatWriter } from '../../../producer/v1/chat/chat-stream.ts';
import type { ReplayEvent } from '../../../src/events/replay.ts';
import type { WatchEvent } from '../../../src/events/watch.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { ResponseEvent } from '../../../src/responses/event.ts';
import { active, completed, failed } from '../../support/http/job-views.ts';
import { answerInStream } from '../../support/openai/chat-rules.ts';
import {
  call,
  customCall,
  message,
  reasoning,
  refusal,
  streamOf,
} from '../../support/openai/streamed-items.ts';

const id = `job_${'0123456789abcdef'.repeat(2)}`;
const job = { ...active, id };
type Item = ReturnType<typeof message>;

/** The attempts of a job, one after the other: what each has streamed. The last one ends with `response`. */
async function told(
  attempts: readonly (readonly ResponseEvent[])[],
  response: object | undefined,
  detail?: Partial<JobDetail>,
): Promise<string> {
  const entries = attempts.flatMap((events, i): ReplayEvent[] => [
    ...(i === 0 ? [] : [{ kind: 'attempt' as const, attempt: i + 1, reason: 'the worker died' }]),
    ...events.map((event): ReplayEvent => ({ kind: 'event', attempt: i + 1, event })),
  ]);
  async function* seen(): AsyncGenerator<WatchEvent> {
    yield { kind: 'status', view: job };
    for (const [i, entry] of entries.entries())
      yield { kind: 'replay', number: i + 1, entry, isSuperseded: false };
    const view = response === undefined ? { ...failed, id } : { ...completed, id };
    const last = response && { id: 'resp_1', status: 'completed', model: 'o3-2025-04-16', ...response };
    yield { kind: 'end', number: entries.length + 1, view, response: last };
  }
  const inspect = async () => ({
    job: { ...failed, id },
    refusal: undefined,
    response: undefined,
    ...detail,
  });
  const asked = { job, request: { model: 'o3' } };
  const options = {
    ...{ startingAfter: -1, signal: new AbortController().signal },
    queue: { inspect } as unknown as TenantQueue,
  };
  const texts: string[] = [];
  for await (const text of answerStream(chatWriter(asked, true), asked, seen(), options)) texts.push(text);
  return texts.join('');
}
const usage = { input_tokens: 10, output_tokens: 20, total_tokens: 30 };
const streamed = async (...items: Item[]) =>
  answerInStream(await told([streamOf(items)], { output: items, usage }));
const errorIn = (text: string): unknown => {
  const lines = text.trimEnd().split('\n\n');
  return JSON.parse(lines.at(-1)?.replace(/^data: /, '') ?? '');
};
const withPhase = (phase: string, text: string): Item => ({ ...message(`msg_${phase}`, text), phase });

describe('an answer as the chunks of a chat', () => {
  it('has the text, the model that answered and the usage', async () => {
    expect(await streamed(reasoning('rs_1', ['Hm.', 'Ah.']), message('msg_1', 'At noon, I think.'))).toEqual({
      ...{ id: `chatcmpl-${'0123456789abcdef'.repeat(2)}`, model: 'o3-2025-04-16' },
      ...{ content: 'At noon, I think.', refusal: '', calls: [], finishReason: 'stop', logprobs: [] },
      usage: expect.objectContaining({ prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 }),
    });
  });

  it('has a refusal', async () => {
    expect(await streamed(refusal('msg_1', 'I will not.'))).toMatchObject({
      content: '',
      refusal: 'I will not.',
    });
  });

  it('counts the calls of tools, wherever their items stand', async () => {
    const items = [
      ...[reasoning('rs_1', []), message('msg_1', 'Let me see.'), call('fc_1', 'now', '{"zone": "UTC"}')],
      ...[reasoning('rs_2', []), customCall('ctc_1', 'free', 'one two'), call('fc_2', 'now', '')],
    ];
    expect(await streamed(...items)).toMatchObject({
      content: 'Let me see.',
      finishReason: 'tool_calls',
      calls: [
        { id: 'call_fc_1', type: 'function', function: { name: 'now', arguments: '{"zone": "UTC"}' } },
        { id: 'call_ctc_1', type: 'custom', custom: { name: 'free', input: 'one two' } },
        { id: 'call_fc_2', type: 'function', function: { name: 'now', arguments: '' } },
      ],
    });
  });

  it('keeps the calls apart when their inputs come in turns', async () => {
    const items = [call('fc_1', 'now', '{"a": 1}'), call('fc_2', 'then', '{"b": 2}')];
    const [one = [], other = []] = items.map((_, place) =>
      streamOf(items).filter(({ output_index }) => output_index === place),
    );
    const mixed = one.flatMap((event, i) => [event, ...(other[i] === undefined ? [] : [other[i]])]);
    const { calls } = answerInStream(await told([mixed], { output: items, usage }));
    expect(calls.map((each) => each.type === 'function' && each.function.arguments)).toEqual([
      '{"a": 1}',
      '{"b": 2}',
    ]);
  });

  it('has a call whose name comes only at its end', async () => {
    const item = call('fc_1', 'now', '{"a": 1}');
    const events = streamOf([item]).map((event) =>
      event.type === 'response.output_item.added'
        ? { ...event, item: { ...item, name: '', arguments: '' } }
        : event,
    );
    expect(answerInStream(await told([events], { output: [item], usage })).calls).toEqual([
      { id: 'call_fc_1', type: 'function', function: { name: 'now', arguments: '{"a": 1}' } },
    ]);
  });

  it('leaves commentary out when there is a final answer', async () => {
    const items = [withPhase('commentary', 'Let me see.'), withPhase('final_answer', 'Noon.')];
    expect(await streamed(...items)).toMatchObject({ content: 'Noon.' });
  });

  it('has commentary at its end when there is no other text', async () => {
    const items = [withPhase('commentary', 'Let me see.'), call('fc_1', 'now', '{}')];
    expect(await streamed(...items)).toMatchObject({ content: 'Let me see.', finishReason: 'tool_calls' });
  });

  it('has the probabilities of its tokens', async () => {
    const logprob = { token: 'Noon.', bytes: null, logprob: -0.5, top_logprobs: [] };
    const item = message('msg_1', 'Noon.');
    const events = streamOf([item]).map((event) =>
      event.type === 'response.output_text.delta' ? { ...event, logprobs: [logprob] } : event,
    );
    expect(answerInStream(await told([events], { output: [item], usage })).logprobs).toEqual([logprob]);
  });

  it.each([
    ['max_output_tokens', 'length'],
    ['content_filter', 'content_filter'],
  ])('that was stopped by %s ends with the reason %s', async (reason, expected) => {
    const item = message('msg_1', 'Noo');
    const response = { status: 'incomplete', incomplete_details: { reason }, output: [item], usage };
    expect(answerInStream(await told([streamOf([item])], response))).toMatchObject({
      finishReason: expected,
    });
  });
});

describe('an attempt that fails', () => {
  const answer = [message('msg_2', 'Noon.')];
  it.each<[string, Item]>([
    ['has only reasoned', reasoning('rs_1', ['Hm, ', 'well.'])],
    ['has only searched', { id: 'ws_1', type: 'web_search_call', content: [] }],
    ['has only commented', withPhase('commentary', 'Let me see.')],
  ])('and %s is not told, and the stream goes on with the next', async (_what, item) => {
    const text = await told([streamOf([item]).slice(0, -1), streamOf(answer)], { output: answer, usage });
    expect(answerInStream(text)).toMatchObject({ content: 'Noon.' });
  });

  it.each<[string, Item]>([
    ['a text', message('msg_1', 'At ten, no')],
    ['a refusal', refusal('msg_1', 'I will')],
    ['a call', call('fc_1', 'now', '{"zone": ')],
    ['the beginning of a call', call('fc_1', 'now', '')],
  ])('after %s ends the stream with an error, and no second answer', async (_what, item) => {
    const text = await told([streamOf([item]).slice(0, -2), streamOf(answer)], { output: answer, usage });
    expect(text).not.toContain('[DONE]');
    expect(text).not.toContain('Noon.');
    expect(errorIn(text)).toEqual({
      error: {
        ...{ type: 'server_error', param: null, code: 'attempt_failed' },
        message: expect.stringContaining('send the same request again'),
      },
    });
  });

  it('as the last one ends the stream with the error of the job', async () => {
    const refused = { code: 'invalid_prompt', type: null, message: 'No.', param: 'input' };
    const text = await told([streamOf([message('msg_1', 'At ten, no')]).slice(0, -2)], undefined, {
      refusal: refused,
    });
    expect(text).not.toContain('[DONE]');
    expect(errorIn(text)).toEqual({
      error: { message: 'No.', type: 'server_error', param: 'input', code: 'invalid_prompt' },
    });
  });
});
