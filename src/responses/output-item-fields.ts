import type { ResponseEvent } from './event.ts';

export type Fields = Record<string, unknown>;

/** PartList is the field of an item that lists its parts. */
export type PartList = 'content' | 'summary';

/** Text is a streamed text of an output item. */
export interface Text {
  /** The beginning of the types of its events, such as `response.output_text`. */
  type: string;
  /** The field that holds the whole text at the end. */
  field: string;
  /** The fields that its events have beside the text: none, or an empty list of probabilities. */
  logprobs?: { logprobs: [] };
}

const OUTPUT_TEXT: Text = { type: 'response.output_text', field: 'text', logprobs: { logprobs: [] } };
const REFUSAL: Text = { type: 'response.refusal', field: 'refusal' };
const REASONING_TEXT: Text = { type: 'response.reasoning_text', field: 'text' };
export const SUMMARY_TEXT: Text = { type: 'response.reasoning_summary_text', field: 'text' };

/**
 * ITEM_TEXTS are the texts of items that consist of one text:
 * https://platform.openai.com/docs/api-reference/responses-streaming
 */
export const ITEM_TEXTS: Readonly<Record<string, Text>> = {
  function_call: { type: 'response.function_call_arguments', field: 'arguments' },
  custom_tool_call: { type: 'response.custom_tool_call_input', field: 'input' },
};

/** textOf returns the kind of text that a part of `content` or `summary` holds. */
export function textOf(part: Fields): Text {
  switch (part['type']) {
    case 'refusal':
      return REFUSAL;
    case 'reasoning_text':
      return REASONING_TEXT;
    case 'summary_text':
      return SUMMARY_TEXT;
    default:
      return OUTPUT_TEXT;
  }
}

/** Owner is the item to which an event about a text belongs, as far as the event's type tells. */
export interface Owner {
  /** The type of the item. */
  item: string;
  /** For a text in a list of parts: the list, and an empty part. */
  list?: PartList;
  part?: Fields;
  text: Text;
}

const OWNERS: Readonly<Record<string, Owner>> = {
  [OUTPUT_TEXT.type]: {
    ...{ item: 'message', list: 'content', text: OUTPUT_TEXT },
    part: { type: 'output_text', text: '', annotations: [], logprobs: [] },
  },
  [REFUSAL.type]: {
    ...{ item: 'message', list: 'content', text: REFUSAL },
    part: { type: 'refusal', refusal: '' },
  },
  [REASONING_TEXT.type]: {
    ...{ item: 'reasoning', list: 'content', text: REASONING_TEXT },
    part: { type: 'reasoning_text', text: '' },
  },
  [SUMMARY_TEXT.type]: {
    ...{ item: 'reasoning', list: 'summary', text: SUMMARY_TEXT },
    part: { type: 'summary_text', text: '' },
  },
  ...Object.fromEntries(Object.entries(ITEM_TEXTS).map(([item, text]) => [text.type, { item, text }])),
};

/** ownerOf returns undefined for an event that is about no text. */
export function ownerOf({ type, part }: ResponseEvent): Owner | undefined {
  if (type.startsWith('response.content_part.') || type.startsWith('response.reasoning_summary_part.')) {
    const isSummary = type.startsWith('response.reasoning_summary_part.');
    return OWNERS[(isSummary ? SUMMARY_TEXT : textOf(isFields(part) ? part : {})).type];
  }
  // `response.output_text.annotation.added` belongs to `response.output_text`.
  const stem = type.split('.', 2).join('.');
  return Object.hasOwn(OWNERS, stem) ? OWNERS[stem] : undefined;
}

/**
 * isInFinalOutput is true for an event whose content the final output has too, so that a reader who missed the
 * event gets it at the end. It is false for the progress of a tool, and for types that are not known.
 */
export function isInFinalOutput(event: ResponseEvent): boolean {
  return event.type.startsWith('response.output_item.') || ownerOf(event) !== undefined;
}

/**
 * toolItemOf returns the type of the item to which an event about a call of a tool belongs, such as
 * `web_search_call` for `response.web_search_call.searching`; undefined: the event's type does not tell.
 */
export function toolItemOf({ type }: ResponseEvent): string | undefined {
  return TOOL_EVENT.exec(type)?.[1];
}

const TOOL_EVENT = /^response\.(\w+_call|mcp_list_tools)(?:_code|_arguments)?\./;

/** itemTypeOf returns the type of an item, by its other fields if the upstream left it out. */
export function itemTypeOf(item: Fields): string | undefined {
  const { type } = item;
  if (typeof type === 'string') return type;
  if (item['role'] === 'assistant') return 'message';
  return typeof item['name'] === 'string' && 'arguments' in item ? 'function_call' : undefined;
}

/**
 * placeholderId returns the id of an item to which the upstream gave none. It is unique within a response:
 * `namedItemId` makes it unique among responses.
 */
export function placeholderId(type: string | undefined, index: number): string {
  return `${ID_PREFIXES[type ?? ''] ?? 'item'}_o3q_${index}`;
}

/** namedItemId returns the id of an item, with the id of its response in place of a placeholder's middle. */
export function namedItemId(id: string, responseId: string): string {
  const [, prefix, index] = PLACEHOLDER.exec(id) ?? [];
  return prefix === undefined ? id : `${prefix}_${responseId.replace(/^resp_/, '')}_${index}`;
}

const PLACEHOLDER = /^([a-z]+)_o3q_(\d+)$/;

/** The beginnings of OpenAI's ids of items. OpenAI refuses an input item whose id begins otherwise. */
const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  custom_tool_call: 'ctc',
  web_search_call: 'ws',
  file_search_call: 'fs',
  code_interpreter_call: 'ci',
  image_generation_call: 'ig',
};

/** openedItem returns an item with only a type and an id, because nothing else is known. */
export function openedItem(type: string, id: string): Fields {
  switch (type) {
    case 'message':
      return { id, type, status: 'in_progress', role: 'assistant', content: [] };
    case 'reasoning':
      return { id, type, summary: [] };
    default:
      return {
        id,
        type,
        status: 'in_progress',
        call_id: id,
        name: '',
        [ITEM_TEXTS[type]?.field ?? 'text']: '',
      };
  }
}

/** textsOf returns all texts of an item, by event type and index of the part. */
export function textsOf(item: Fields): Map<string, string> {
  const whole = ITEM_TEXTS[String(item['type'])];
  const texts: [string, unknown][] = [
    ...partsOf(item, 'summary').map(([i, { text }]): [string, unknown] => [
      `${SUMMARY_TEXT.type} ${i}`,
      text,
    ]),
    ...partsOf(item, 'content').map(([i, part]): [string, unknown] => {
      const { type, field } = textOf(part);
      return [`${type} ${i}`, part[field]];
    }),
    ...(whole === undefined ? [] : [[`${whole.type} `, item[whole.field]] as [string, unknown]]),
  ];
  return new Map(texts.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/**
 * isEmptyFrame is true for an event that opens or closes a part of the answer in which there is no text. An
 * item of a tool is never empty: it is itself a part of the answer.
 */
export function isEmptyFrame(event: ResponseEvent): boolean {
  const { type, item, part, delta } = event;
  if (isFields(item)) {
    if (item['type'] !== 'message' && item['type'] !== 'reasoning') return false;
    return [...textsOf(item).values()].every((text) => text === '');
  }
  if (isFields(part)) return !part[textOf(part).field];
  if (type.endsWith('.delta')) return delta === '';
  const owner = ownerOf(event);
  return owner?.list !== undefined && type === `${owner.text.type}.done` && !event[owner.text.field];
}

/** emptied returns an item or a part as its first event shows it. */
export function emptied(whole: Fields): Fields {
  const { field } = ITEM_TEXTS[String(whole['type'])] ?? textOf(whole);
  return {
    ...whole,
    ...('status' in whole && { status: 'in_progress' }),
    ...(field in whole && { [field]: '' }),
    ...Object.fromEntries(LISTS.filter((list) => Array.isArray(whole[list])).map((list) => [list, []])),
  };
}

const LISTS = ['content', 'summary', 'annotations', 'logprobs'];

export function partsOf(item: Fields, field: PartList): [number, Fields][] {
  const parts: unknown = item[field];
  return Array.isArray(parts)
    ? [...parts.entries()].filter((entry): entry is [number, Fields] => isFields(entry[1]))
    : [];
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}
