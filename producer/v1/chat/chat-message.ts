import type {
  ChatCompletion,
  ChatCompletionMessage,
  ChatCompletionMessageToolCall,
  ChatCompletionTokenLogprob,
} from 'openai/resources/chat/completions';
import { type Fields, isFields, partsOf } from '../../../src/responses/output-item-fields.ts';
import {
  answerMessagesOf,
  incompleteReasonOf,
  outputOf,
  refusalOf,
  type UpstreamResponse,
} from '../../../src/responses/response.ts';

type Choice = ChatCompletion.Choice;
type Annotation = NonNullable<ChatCompletionMessage['annotations']>[number];

/** choiceOf returns the answer of a response as the one choice of a chat completion. */
export function choiceOf(response: UpstreamResponse): Choice {
  const message = messageOf(response);
  return {
    index: 0,
    message,
    logprobs: logprobsOf(response),
    finish_reason: finishReasonOf(response, message.tool_calls !== undefined),
  };
}

function messageOf(response: UpstreamResponse): ChatCompletionMessage {
  const parts = textPartsOf(response);
  const text = parts.map(({ text: each }) => each).join('');
  const refusal = refusalOf(response);
  const calls = outputOf(response).filter(isFields).flatMap(toolCallOf);
  return {
    role: 'assistant',
    content: text === '' && (refusal !== null || calls.length > 0) ? null : text,
    refusal,
    annotations: annotationsOf(parts),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

interface TextPart {
  text: string;
  part: Fields;
}

/** textPartsOf returns the parts of the answer. */
function textPartsOf(response: UpstreamResponse): TextPart[] {
  return answerMessagesOf(response)
    .flatMap((message) => partsOf(message, 'content'))
    .flatMap(([, part]) => {
      const { type, text } = part;
      return type === 'output_text' && typeof text === 'string' ? [{ text, part }] : [];
    });
}

/** annotationsOf returns the citations of URLs. A chat has no other annotations. */
function annotationsOf(parts: readonly TextPart[]): Annotation[] {
  let before = 0;
  return parts.flatMap(({ text, part }) => {
    const offset = before;
    before += text.length;
    const all: unknown[] = Array.isArray(part['annotations']) ? part['annotations'] : [];
    return all.flatMap((annotation): Annotation[] => {
      if (!isFields(annotation) || annotation['type'] !== 'url_citation') return [];
      const { url, title, start_index: start, end_index: end } = annotation;
      return [
        {
          type: 'url_citation',
          url_citation: {
            url: String(url),
            title: String(title ?? ''),
            start_index: offset + Number(start ?? 0),
            end_index: offset + Number(end ?? 0),
          },
        },
      ];
    });
  });
}

/** toolCallOf returns nothing for an item that is no call of a tool of the caller's. */
function toolCallOf(item: Fields): ChatCompletionMessageToolCall[] {
  const { type, call_id: callId, name } = item;
  const id = String(callId ?? item['id']);
  switch (type) {
    case 'function_call':
      return [
        {
          id,
          type: 'function',
          function: { name: String(name), arguments: String(item['arguments'] ?? '') },
        },
      ];
    case 'custom_tool_call':
      return [{ id, type: 'custom', custom: { name: String(name), input: String(item['input'] ?? '') } }];
    default:
      return [];
  }
}

function logprobsOf(response: UpstreamResponse): Choice['logprobs'] {
  const content = textPartsOf(response).flatMap(({ part }) => logprobsIn(part['logprobs']));
  return content.length === 0 ? null : { content, refusal: null };
}

/** logprobsIn returns the list of probabilities in a field, which both APIs write in the same form. */
export function logprobsIn(value: unknown): ChatCompletionTokenLogprob[] {
  return Array.isArray(value) ? (value as ChatCompletionTokenLogprob[]) : [];
}

function finishReasonOf(response: UpstreamResponse, hasCalls: boolean): Choice['finish_reason'] {
  const reason = incompleteReasonOf(response);
  if (reason === 'content_filter') return 'content_filter';
  if (reason !== null) return 'length';
  return hasCalls ? 'tool_calls' : 'stop';
}
