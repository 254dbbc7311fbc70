export type Fields = Record<string, unknown>;

/** Text is a streamed text of an output item. */
export interface Text {
  /** The beginning of its event types. */
  type: string;
  /** The field that holds the whole text at the end. */
  field: string;
  /** What its events carry beside the text: nothing, or an empty list of probabilities. */
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

/** textOf tells which text a part of `content` is. */
export function textOf(part: Fields): Text {
  if (part['type'] === 'refusal') return REFUSAL;
  return part['type'] === 'reasoning_text' ? REASONING_TEXT : OUTPUT_TEXT;
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

export function partsOf(item: Fields, field: 'content' | 'summary'): [number, Fields][] {
  const parts: unknown = item[field];
  return Array.isArray(parts)
    ? [...parts.entries()].filter((entry): entry is [number, Fields] => isFields(entry[1]))
    : [];
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}
