import { z } from 'zod';

/**
 * The form of chat completions and of their chunks by OpenAI's specification, and the rules without which
 * clients lose answers: each was found by leaving one thing out. No field may be there that is not listed.
 */

const count = z.int().min(0);
const usage = z.strictObject({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.strictObject({
    cached_tokens: count,
    cache_write_tokens: count,
    audio_tokens: count,
  }),
  completion_tokens_details: z.strictObject({
    reasoning_tokens: count,
    audio_tokens: count,
    accepted_prediction_tokens: count,
    rejected_prediction_tokens: count,
  }),
});
const logprob = z.looseObject({
  token: z.string(),
  bytes: z.array(count).nullable(),
  logprob: z.number(),
  top_logprobs: z.array(z.unknown()),
});
const logprobs = z.strictObject({ content: z.array(logprob).min(1), refusal: z.null() }).nullable();
const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter']);
const about = {
  id: z.string().regex(/^chatcmpl-[0-9a-f]{32}$/),
  created: z.int().min(1_700_000_000),
  model: z.string().min(1),
  service_tier: z.enum(['auto', 'default', 'flex', 'scale', 'priority']).optional(),
  moderation: z.unknown().optional(),
};

const functionCall = z.strictObject({
  ...{ id: z.string().min(1), type: z.literal('function') },
  function: z.strictObject({ name: z.string().min(1), arguments: z.string() }),
});
const customCall = z.strictObject({
  ...{ id: z.string().min(1), type: z.literal('custom') },
  custom: z.strictObject({ name: z.string().min(1), input: z.string() }),
});
const call = z.union([functionCall, customCall]);

const completion = z.strictObject({
  ...about,
  object: z.literal('chat.completion'),
  choices: z.tuple([
    z.strictObject({
      index: z.literal(0),
      logprobs,
      finish_reason: finishReason,
      message: z.strictObject({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        refusal: z.string().nullable(),
        annotations: z.array(z.strictObject({ type: z.literal('url_citation'), url_citation: z.unknown() })),
        tool_calls: z.array(call).min(1).optional(),
      }),
    }),
  ]),
  usage: usage.optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});

const index = count;
const opened = z.union([functionCall.extend({ index }), customCall.extend({ index })]);
const more = z.union([
  z.strictObject({ index, function: z.strictObject({ arguments: z.string().min(1) }) }),
  z.strictObject({ index, custom: z.strictObject({ input: z.string().min(1) }) }),
]);
/** What one chunk changes: exactly one thing, so that no client can overlook the second. */
const change = z.union([
  z.strictObject({ role: z.literal('assistant'), content: z.literal(''), refusal: z.null() }),
  z.strictObject({ content: z.string().min(1) }),
  z.strictObject({ refusal: z.string().min(1) }),
  z.strictObject({ tool_calls: z.tuple([z.union([opened, more])]) }),
  z.strictObject({}),
]);
const chunk = z.strictObject({
  ...about,
  object: z.literal('chat.completion.chunk'),
  choices: z.union([
    z.tuple([
      z.strictObject({
        ...{ index: z.literal(0), delta: change, logprobs },
        finish_reason: finishReason.nullable(),
      }),
    ]),
    z.tuple([]),
  ]),
  usage: usage.nullable().optional(),
});

type Completion = z.infer<typeof completion>;
type Call = z.infer<typeof call>;

/** Answer is what a client makes of a chat completion, whole or streamed. */
export interface ChatAnswer {
  id: string;
  model: string;
  content: string;
  refusal: string;
  calls: Call[];
  finishReason: string;
  usage: z.infer<typeof usage> | undefined;
  logprobs: unknown[];
}

/** answerInCompletion checks a chat completion. */
export function answerInCompletion(body: unknown): ChatAnswer {
  const { id, model, choices, usage: used }: Completion = completion.parse(body);
  const [{ message, finish_reason: finishReasonOf, logprobs: probable }] = choices;
  const calls = message.tool_calls ?? [];
  requireReason(finishReasonOf, calls);
  return {
    ...{ id, model, usage: used, calls, finishReason: finishReasonOf },
    content: message.content ?? '',
    refusal: message.refusal ?? '',
    logprobs: probable?.content ?? [],
  };
}

/** answerInStream checks the bytes of a stream that was asked for with `include_usage`. */
export function answerInStream(text: string): ChatAnswer {
  const events = text.split('\n\n').filter((event) => event !== '' && !event.startsWith(':'));
  for (const event of events) expect(event).toMatch(/^data: [^\n]+$/);
  const lines = events.map((event) => event.slice('data: '.length));
  expect(lines.pop()).toBe('[DONE]');
  const chunks = lines.map((line) => chunk.parse(JSON.parse(line)));
  const [first] = chunks;
  expect(first?.choices[0]?.delta).toEqual({ role: 'assistant', content: '', refusal: null });
  const answer: ChatAnswer = {
    ...{ id: String(first?.id), model: '', content: '', refusal: '', calls: [], finishReason: '' },
    ...{ usage: undefined, logprobs: [] },
  };
  for (const [place, { id, created, model, choices, usage: used }] of chunks.entries()) {
    expect({ id, created }).toEqual({ id: answer.id, created: first?.created });
    answer.model = model;
    const [choice] = choices;
    if (choice === undefined) {
      // The usage comes once, last of all.
      expect(place).toBe(chunks.length - 1);
      answer.usage = used ?? undefined;
      expect(answer.usage).toBeDefined();
      continue;
    }
    expect(used).toBeNull();
    expect(answer.finishReason).toBe('');
    const { delta, finish_reason: reason, logprobs: probable } = choice;
    expect('role' in delta).toBe(place === 0);
    expect(reason !== null).toBe(Object.keys(delta).length === 0);
    if ('content' in delta) answer.content += delta.content;
    if ('refusal' in delta && delta.refusal !== null) answer.refusal += delta.refusal;
    if ('tool_calls' in delta) addCall(answer.calls, delta.tool_calls[0]);
    answer.logprobs.push(...(probable?.content ?? []));
    answer.finishReason = reason ?? '';
  }
  requireReason(answer.finishReason, answer.calls);
  return answer;
}

function addCall(calls: Call[], part: z.infer<typeof opened> | z.infer<typeof more>): void {
  if ('id' in part) {
    const { index: place, ...begun } = part;
    expect(place).toBe(calls.length);
    calls.push(begun as Call);
    return;
  }
  const known = calls[part.index];
  if (known?.type === 'function' && 'function' in part) known.function.arguments += part.function.arguments;
  else if (known?.type === 'custom' && 'custom' in part) known.custom.input += part.custom.input;
  else throw new Error(`expected an input of the call ${part.index}, which is ${JSON.stringify(known)}`);
}

function requireReason(reason: string, calls: readonly Call[]): void {
  if (reason === 'tool_calls') expect(calls).not.toEqual([]);
  if (reason === 'stop') expect(calls).toEqual([]);
  expect(finishReason.safeParse(reason).success).toBe(true);
}
