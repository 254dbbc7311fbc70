import type { PlannedItem, Script } from './script.ts';
import { groupIntoDeltas, stretch, tokensOf } from './text.ts';

/** OutputItem is one item of a response's `output`. */
export type OutputItem = { readonly id: string; readonly type: string; readonly [key: string]: unknown };

type Message = Extract<PlannedItem, { kind: 'message' }>;

/**
 * deltasOf splits an item's text into its deltas, in order. Of a broken message it returns only the first
 * half.
 */
export function deltasOf(item: PlannedItem): string[] {
  switch (item.kind) {
    case 'reasoning':
      return tokensOf(item.summary);
    case 'tool_call':
      return groupIntoDeltas(tokensOf(item.text).slice(0, item.tokens), 8);
    case 'message': {
      const deltas = groupIntoDeltas(stretch(item.text, item.tokens), item.deltas);
      return item.ending === 'broken' ? deltas.slice(0, Math.ceil(deltas.length / 2)) : deltas;
    }
    default: {
      const never: never = item;
      return never;
    }
  }
}

/** openedItem returns the item as its first event announces it, without any text. */
export function openedItem(item: PlannedItem): OutputItem {
  switch (item.kind) {
    case 'reasoning':
      return { id: item.id, type: 'reasoning', summary: [] };
    case 'tool_call':
      return toolCall(item, 'in_progress', '');
    case 'message':
      return message(item.id, 'in_progress', []);
    default: {
      const never: never = item;
      return never;
    }
  }
}

/** itemWithText returns the item with the text that was sent so far. */
export function itemWithText(item: PlannedItem, text: string, status: string): OutputItem {
  switch (item.kind) {
    case 'reasoning':
      return {
        id: item.id,
        type: 'reasoning',
        ...(item.sealed ? { encrypted_content: sealedReasoning(item.id) } : {}),
        summary: text === '' ? [] : [summaryPart(text)],
      };
    case 'tool_call':
      return toolCall(item, status, text);
    case 'message':
      return message(item.id, status, [contentPart(item, text)]);
    default: {
      const never: never = item;
      return never;
    }
  }
}

export function closedItem(item: PlannedItem): OutputItem {
  return itemWithText(item, deltasOf(item).join(''), closedStatus(item));
}

function closedStatus(item: PlannedItem): string {
  return item.kind !== 'reasoning' && item.ending !== 'completed' ? 'incomplete' : 'completed';
}

/** contentPart returns the part of a message that holds its text. */
export function contentPart({ isRefusal }: Message, text: string): object {
  if (isRefusal) return { type: 'refusal', refusal: text };
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

/** finalOutputOf returns the output that a response has at its end. */
export function finalOutputOf({ items, finalOutput }: Pick<Script, 'items' | 'finalOutput'>): OutputItem[] {
  switch (finalOutput) {
    case 'whole':
      return items.map(closedItem);
    case 'half':
      return items.slice(-1).map((item) => {
        const deltas = deltasOf(item);
        return itemWithText(item, deltas.slice(0, deltas.length / 2).join(''), 'completed');
      });
    case 'empty':
      return [];
    default: {
      const never: never = finalOutput;
      return never;
    }
  }
}

export function summaryPart(text: string): object {
  return { type: 'summary_text', text };
}

function message(id: string, status: string, content: readonly object[]): OutputItem {
  return { id, type: 'message', status, role: 'assistant', content };
}

function toolCall(
  { id, tool, callId, name }: Extract<PlannedItem, { kind: 'tool_call' }>,
  status: string,
  text: string,
): OutputItem {
  const call = { id, status, call_id: callId, name };
  return tool === 'function'
    ? { ...call, type: 'function_call', arguments: text }
    : { ...call, type: 'custom_tool_call', input: text };
}

/** Stands for encrypted reasoning, which no client can read. It only has to be the same in every replay. */
function sealedReasoning(id: string): string {
  return Buffer.from(`simulated reasoning of ${id}`).toString('base64');
}
