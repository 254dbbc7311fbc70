import { closedItem, contentPart, deltasOf, finalOutputOf, openedItem, summaryPart } from './output-items.ts';
import { failureType, responseObject } from './response-object.ts';
import type { PlannedItem, Script } from './script.ts';

/**
 * Step is an event before it has its sequence number, with its time in milliseconds since the response's
 * creation.
 */
export type Step = { readonly atMs: number; readonly type: string; readonly fields: object };

/**
 * steps yields the events of a script in the order of the API. It builds each event only when it is read: a
 * stream that is cut after ten of ten thousand events builds ten.
 */
export function* steps(script: Script): Generator<Step> {
  yield* opening(script);
  for (const [index, item] of script.items.entries()) yield* itemSteps(script, item, index);
  yield* closing(script);
}

function* opening(script: Script): Generator<Step> {
  const queued = responseObject(script, { status: 'queued' });
  const running = responseObject(script, { status: 'in_progress' });
  if (script.request.background) {
    yield { atMs: 0, type: 'response.created', fields: { response: queued } };
    yield { atMs: 0, type: 'response.queued', fields: { response: queued } };
  } else {
    yield { atMs: 0, type: 'response.created', fields: { response: running } };
  }
  yield { atMs: script.startMs, type: 'response.in_progress', fields: { response: running } };
}

function* itemSteps(script: Script, item: PlannedItem, index: number): Generator<Step> {
  const [fromMs, toMs] = spanOf(script, index);
  const step = (atMs: number, type: string, fields: object): Step => ({
    atMs,
    type,
    fields: { output_index: index, ...fields },
  });
  yield step(fromMs, 'response.output_item.added', { item: openedItem(item) });
  yield* textSteps(item, fromMs, toMs, step);
  if (item.kind === 'message' && item.ending === 'broken') return;
  yield step(toMs, 'response.output_item.done', { item: closedItem(item) });
}

type MakeStep = (atMs: number, type: string, fields: object) => Step;

function* textSteps(item: PlannedItem, fromMs: number, toMs: number, step: MakeStep): Generator<Step> {
  const common = { item_id: item.id };
  const deltas = deltasOf(item);
  const text = deltas.join('');
  const timed = deltas.map(
    (delta, index) => [delta, fromMs + ((toMs - fromMs) * (index + 1)) / deltas.length] as const,
  );
  switch (item.kind) {
    case 'reasoning': {
      if (text === '') return;
      const at = { ...common, summary_index: 0 };
      yield step(fromMs, 'response.reasoning_summary_part.added', { ...at, part: summaryPart('') });
      for (const [delta, atMs] of timed) {
        yield step(atMs, 'response.reasoning_summary_text.delta', { ...at, delta });
      }
      yield step(toMs, 'response.reasoning_summary_text.done', { ...at, text });
      yield step(toMs, 'response.reasoning_summary_part.done', { ...at, part: summaryPart(text) });
      return;
    }
    case 'message': {
      const at = { ...common, content_index: 0 };
      const kind = item.isRefusal ? 'response.refusal' : 'response.output_text';
      const more = item.isRefusal ? {} : { logprobs: [] };
      yield step(fromMs, 'response.content_part.added', { ...at, part: contentPart(item, '') });
      for (const [delta, atMs] of timed) {
        yield step(atMs, `${kind}.delta`, { ...at, delta, ...more });
      }
      if (item.ending === 'broken') return;
      yield step(toMs, `${kind}.done`, { ...at, [item.isRefusal ? 'refusal' : 'text']: text, ...more });
      yield step(toMs, 'response.content_part.done', { ...at, part: contentPart(item, text) });
      return;
    }
    case 'tool_call': {
      const [kind, field] =
        item.tool === 'function'
          ? ['response.function_call_arguments', 'arguments']
          : ['response.custom_tool_call_input', 'input'];
      for (const [delta, atMs] of timed) yield step(atMs, `${kind}.delta`, { ...common, delta });
      const more = item.tool === 'function' ? { name: item.name } : {};
      yield step(toMs, `${kind}.done`, { ...common, ...more, [field]: text });
      return;
    }
    default: {
      const never: never = item;
      return never;
    }
  }
}

/**
 * Returns the part of the time in which an item is sent. Reasoning takes the first half of the time, and the
 * other items share the second half. Without reasoning, or with nothing else, they have the whole time.
 */
function spanOf({ items, startMs, lastEventMs: endMs }: Script, index: number): readonly [number, number] {
  const [first] = items;
  const middleMs = items.length > 1 && first?.kind === 'reasoning' ? (startMs + endMs) / 2 : startMs;
  if (middleMs > startMs && index === 0) return [startMs, middleMs];
  const before = middleMs > startMs ? 1 : 0;
  const shareMs = (endMs - middleMs) / (items.length - before);
  return [middleMs + shareMs * (index - before), middleMs + shareMs * (index - before + 1)];
}

function* closing(script: Script): Generator<Step> {
  const { ending, endMs } = script;
  if (ending.status === 'stalled') return;
  const output = finalOutputOf(script);
  const response = responseObject(script, { status: 'ended', ending, output });
  if (ending.status === 'failed' && ending.announced !== 'not') {
    yield { atMs: endMs, type: 'error', fields: errorFields(ending) };
  }
  yield { atMs: endMs, type: `response.${ending.status}`, fields: { response } };
}

/**
 * OpenAI's specification has these fields at the top of the event. Real servers often nest them under
 * `error`.
 */
function errorFields(ending: Extract<Script['ending'], { status: 'failed' }>): object {
  const { code, message } = ending;
  if (ending.announced === 'flat') return { code, message, param: null };
  return { error: { type: failureType(code), code, message, param: null } };
}
