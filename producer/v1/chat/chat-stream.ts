import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { stringifyExact } from '../../../src/job/exact-json.ts';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import type { ResponseEvent } from '../../../src/responses/event.ts';
import { ITEM_ADDED, ITEM_DONE } from '../../../src/responses/item-so-far.ts';
import { type Fields, isFields } from '../../../src/responses/output-item-fields.ts';
import { isCommentary } from '../../../src/responses/response.ts';
import type { AnswerWriter, Asked } from '../door.ts';
import type { Envelope } from '../openai-error.ts';
import { filledEvent } from '../responses/filled-output.ts';
import { aboutCompletion, chatUsageOf } from './chat-completion.ts';
import { chatFailureOf } from './chat-failure.ts';
import { choiceOf, logprobsIn } from './chat-message.ts';

type Choice = ChatCompletionChunk.Choice;

/** Call is a call of a tool in a chat: its type, and the field that has its input. */
interface Call {
  type: 'function' | 'custom';
  field: 'arguments' | 'input';
}
const FUNCTION: Call = { type: 'function', field: 'arguments' };
const CUSTOM: Call = { type: 'custom', field: 'input' };
/** Calls by the type of their item. */
const ITEMS = new Map<unknown, Call>([
  ['function_call', FUNCTION],
  ['custom_tool_call', CUSTOM],
]);
/** Calls by the type of the events that have their input. */
const INPUTS = new Map([
  ['response.function_call_arguments.delta', FUNCTION],
  ['response.custom_tool_call_input.delta', CUSTOM],
]);
const TEXT = 'response.output_text.delta';
const REFUSAL = 'response.refusal.delta';

/**
 * chatWriter writes an answer as the chunks of a chat completion:
 * https://platform.openai.com/docs/api-reference/chat-streaming
 *
 * Some clients lose the answer when something is missing: the role in the very first chunk, `index` and
 * `type` of a tool call, `finish_reason` in the last choice. A stream that fails ends with an error and
 * without `[DONE]`, because many clients take a stream that just ends for a whole one. A chat has no
 * reasoning, so an attempt that has only reasoned has told nothing.
 */
export function chatWriter(asked: Asked, includesUsage: boolean): AnswerWriter {
  const responseId = responseIdOf(asked.job.id);
  let about = aboutCompletion(asked.job);
  let hasText = false;
  /** The number of each call in the chat, by the index of its item in the output. */
  const calls = new Map<number, number>();
  /** The indexes of items that are commentary. The chat has them only if there is no other text. */
  const commentary = new Set<number>();

  const chunk = (choices: Choice[], usage: CompletionUsage | null = null): string => {
    const fields: ChatCompletionChunk = {
      object: 'chat.completion.chunk',
      ...about,
      choices,
      ...(includesUsage && { usage }),
    };
    return dataLine(fields);
  };
  const change = (delta: Choice['delta'], rest: Partial<Choice> = {}): string =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: null, ...rest }]);

  const note = ({ type, item, output_index: place = 0 }: ResponseEvent): void => {
    if (type !== ITEM_ADDED || !isFields(item)) return;
    // The next attempt uses the same indexes.
    if (isCommentary(item)) commentary.add(place);
    else commentary.delete(place);
  };

  function* opened(item: Fields, place: number, input: unknown): Generator<string> {
    const call = ITEMS.get(item['type']);
    if (call === undefined || calls.has(place) || !item['name']) return;
    const called = { name: item['name'], [call.field]: typeof input === 'string' ? input : '' };
    const index = calls.size;
    calls.set(place, index);
    yield change(withCall({ index, id: item['call_id'], type: call.type, [call.type]: called }));
  }

  function* event({
    type,
    delta,
    item,
    output_index: place = 0,
    logprobs,
  }: ResponseEvent): Generator<string> {
    if (isFields(item)) {
      if (type === ITEM_ADDED) yield* opened(item, place, '');
      // Some servers say only at the end of a call what is called.
      if (type === ITEM_DONE) yield* opened(item, place, item['arguments'] ?? item['input']);
      return;
    }
    if (typeof delta !== 'string' || delta === '' || commentary.has(place)) return;
    const content = logprobsIn(logprobs);
    const probable = content.length > 0 && { logprobs: { content, refusal: null } };
    if (type === TEXT) {
      hasText = true;
      yield change({ content: delta }, { ...probable });
    } else if (type === REFUSAL) yield change({ refusal: delta });
    const call = INPUTS.get(type);
    const index = calls.get(place);
    if (call === undefined || index === undefined) return;
    yield change(withCall({ index, [call.type]: { [call.field]: delta } }));
  }

  function* end(ended: JobDetail): Generator<string> {
    const { job, response } = ended;
    if (response === undefined) {
      yield dataLine(chatFailureOf(ended));
      return;
    }
    about = aboutCompletion(job, response);
    const { message, finish_reason } = choiceOf(response);
    if (!hasText && message.content) yield change({ content: message.content });
    yield change({}, { finish_reason });
    const usage = chatUsageOf(response);
    if (includesUsage && usage !== undefined) yield chunk([], usage);
    yield 'data: [DONE]\n\n';
  }

  return {
    isSilent(each) {
      note(each);
      const { type, delta, item, output_index: place = 0 } = each;
      if (isFields(item)) {
        return !ITEMS.has(item['type']);
      }
      const isTold = type === TEXT || type === REFUSAL || INPUTS.has(type);
      return !isTold || delta === '' || commentary.has(place);
    },
    *write(told) {
      switch (told.kind) {
        case 'created':
          // It is sent before the first word, so that the caller and proxies see that all is well.
          yield change({ role: 'assistant', content: '', refusal: null });
          return;
        case 'queued':
        case 'in_progress':
          return;
        case 'event':
          note(told.event);
          yield* event(filledEvent(told.event, responseId));
          return;
        case 'attempt_failed':
          yield dataLine({ error: attemptFailed(about.id, told.reason) });
          return;
        case 'end':
          yield* end(told.ended);
          return;
        default: {
          const never: never = told;
          throw new Error(`unexpected ${JSON.stringify(never)}`);
        }
      }
    },
  };
}

function dataLine(data: unknown): string {
  return `data: ${stringifyExact(data)}\n\n`;
}

/** OpenAI's SDK (6.49) has no type for the chunks of custom tools, which OpenAI sends. */
function withCall(call: object): Choice['delta'] {
  return { tool_calls: [call] } as Choice['delta'];
}

function attemptFailed(id: string, reason: string): Envelope {
  const message =
    `An attempt at ${id} failed after a part of its answer had been sent: ${reason}. The job goes on with ` +
    'another attempt. To read its answer from the beginning, send the same request again.';
  return { message, type: 'server_error', param: null, code: 'attempt_failed' };
}
