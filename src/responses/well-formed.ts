import { type Fields, isFields } from './output-item-fields.ts';
import { outputOf, type UpstreamResponse } from './response.ts';

/**
 * wellFormed returns a final response with its answer where OpenAI has it. Some servers put it elsewhere: as
 * the whole `content` of a message, in a part of type `text`, or in `output_text` of the response, which is a
 * field of OpenAI's SDK. A response that has an error, and whose status is not `completed`, `incomplete` or
 * `cancelled`, gets the status `failed`.
 */
export function wellFormed(response: UpstreamResponse): UpstreamResponse {
  const { status, error, output_text: text } = response;
  const output = outputOf(response).map(itemWithParts);
  const isAnswered = output.some((item) => isFields(item) && item['type'] === 'message');
  if (typeof text === 'string' && text !== '' && !isAnswered) output.push(messageWith(text, response));
  const hasEnd = status === 'completed' || status === 'incomplete' || status === 'cancelled';
  const isFailed = !hasEnd && isFields(error);
  return {
    ...response,
    ...(Array.isArray(response.output) || output.length > 0 ? { output } : {}),
    ...(isFailed && { status: 'failed' }),
  };
}

function messageWith(text: string, { id }: UpstreamResponse): Fields {
  return {
    ...{ id: `msg_${id}`, type: 'message', status: 'completed', role: 'assistant' },
    content: [part(text)],
  };
}

function itemWithParts(item: unknown): unknown {
  if (!isFields(item)) return item;
  const { type = item['role'] === 'assistant' ? 'message' : undefined, content } = item;
  if (type !== 'message') return item;
  if (typeof content === 'string') return { ...item, type, content: [part(content)] };
  return { ...item, type, ...(Array.isArray(content) && { content: content.map(partWithType) }) };
}

function partWithType(value: unknown): unknown {
  return isFields(value) && value['type'] === 'text' && typeof value['text'] === 'string'
    ? { ...value, type: 'output_text' }
    : value;
}

function part(text: string): Fields {
  return { type: 'output_text', text, annotations: [] };
}
