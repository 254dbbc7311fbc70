import type { ResponseEvent } from '../../../src/responses/event.ts';

/** Final items of a response's output, and the events in which OpenAI streams them. */
type Item = { id: string; type: string; [field: string]: unknown };
type Part = { type: string; [field: string]: unknown };

export function message(id: string, text: string): Item {
  return { id, type: 'message', status: 'completed', role: 'assistant', content: [textPart(text)] };
}

export function annotated(id: string, text: string, urls: readonly string[]): Item {
  const annotations = urls.map((url) => ({
    type: 'url_citation',
    url,
    title: url,
    start_index: 0,
    end_index: 3,
  }));
  return { ...message(id, ''), content: [textPart('Look: '), { ...textPart(text), annotations }] };
}

export function refusal(id: string, text: string): Item {
  return { ...message(id, ''), content: [{ type: 'refusal', refusal: text }] };
}

export function reasoning(id: string, summaries: readonly string[]): Item {
  const summary = summaries.map((text) => ({ type: 'summary_text', text }));
  return { id, type: 'reasoning', summary, status: 'completed' };
}

export function call(id: string, name: string, json: string): Item {
  return { id, type: 'function_call', status: 'completed', call_id: `call_${id}`, name, arguments: json };
}

export function customCall(id: string, name: string, input: string): Item {
  return { id, type: 'custom_tool_call', status: 'completed', call_id: `call_${id}`, name, input };
}

/** Each text comes word by word. */
export function streamOf(items: readonly Item[]): ResponseEvent[] {
  return items.flatMap((item, output_index) => {
    const place = { item_id: item.id, output_index };
    return [
      {
        type: 'response.output_item.added',
        output_index,
        item: { ...item, status: 'in_progress', ...bare(item) },
      },
      ...textEvents(item, place),
      { type: 'response.output_item.done', output_index, item },
    ];
  });
}

function textEvents(item: Item, place: object): ResponseEvent[] {
  switch (item.type) {
    case 'function_call':
      return [
        ...deltas('response.function_call_arguments', String(item['arguments']), place),
        {
          type: 'response.function_call_arguments.done',
          ...place,
          name: item['name'],
          arguments: item['arguments'],
        },
      ];
    case 'custom_tool_call':
      return [
        ...deltas('response.custom_tool_call_input', String(item['input']), place),
        { type: 'response.custom_tool_call_input.done', ...place, input: item['input'] },
      ];
    case 'reasoning':
      return (item['summary'] as Part[]).flatMap((part, summary_index) => {
        const at = { ...place, summary_index };
        return [
          { type: 'response.reasoning_summary_part.added', ...at, part: { ...part, text: '' } },
          ...deltas('response.reasoning_summary_text', String(part['text']), at),
          { type: 'response.reasoning_summary_text.done', ...at, text: part['text'] },
          { type: 'response.reasoning_summary_part.done', ...at, part },
        ];
      });
    default:
      return (item['content'] as Part[]).flatMap((part, content_index) =>
        partEvents(part, { ...place, content_index }),
      );
  }
}

function partEvents(part: Part, at: object): ResponseEvent[] {
  const added = { ...part, ...(part.type === 'refusal' ? { refusal: '' } : { text: '', annotations: [] }) };
  const text =
    part.type === 'refusal'
      ? [
          ...deltas('response.refusal', String(part['refusal']), at),
          { type: 'response.refusal.done', ...at, refusal: part['refusal'] },
        ]
      : [
          ...deltas('response.output_text', String(part['text']), at, { logprobs: [] }),
          { type: 'response.output_text.done', ...at, text: part['text'], logprobs: [] },
          ...((part['annotations'] ?? []) as object[]).map((annotation, annotation_index) => ({
            type: 'response.output_text.annotation.added',
            ...at,
            annotation_index,
            annotation,
          })),
        ];
  return [
    { type: 'response.content_part.added', ...at, part: added },
    ...text,
    { type: 'response.content_part.done', ...at, part },
  ];
}

function deltas(type: string, text: string, at: object, more: object = {}): ResponseEvent[] {
  const words = text.match(/\S+\s*/g) ?? [];
  return words.map((delta) => ({ type: `${type}.delta`, ...at, delta, ...more, obfuscation: 'x' }));
}

function bare({ type }: Item): object {
  if (type === 'function_call') return { arguments: '' };
  if (type === 'custom_tool_call') return { input: '' };
  return type === 'reasoning' ? { summary: [] } : { content: [] };
}

function textPart(text: string): Part {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}
