import { type Step, steps } from './events.ts';
import { finalOutputOf, itemWithText } from './output-items.ts';
import { type Phase, responseObject, type Status } from './response-object.ts';
import type { Script } from './script.ts';

/** TimedEvent is one event as it is sent, and the milliseconds since creation at which it is due. */
export type TimedEvent = {
  readonly atMs: number;
  readonly event: { readonly type: string; readonly sequence_number: number };
};

const TERMINAL_TYPES = ['response.completed', 'response.incomplete', 'response.failed'];

export function isTerminal(event: TimedEvent['event']): boolean {
  return TERMINAL_TYPES.includes(event.type);
}

/**
 * timeline yields all events of a response with their numbers. It depends only on the script and the time of
 * the cancel, so every replay has the same numbers. For a stalled response it stops without a last event. For
 * a response that stays `queued` it goes on with keepalives.
 */
export function* timeline(script: Script, cancelledAtMs: number | undefined): Generator<TimedEvent> {
  const cutMs = cancelsAt(script, cancelledAtMs);
  let sequence = 0;
  let quietSinceMs = 0;
  const numbered = ({ atMs, type, fields }: Step): TimedEvent => {
    quietSinceMs = atMs;
    const event = { type, sequence_number: sequence, ...fields };
    sequence += 1;
    return { atMs, event };
  };
  function* keepalivesUntil(atMs: number): Generator<TimedEvent> {
    while (quietSinceMs + script.keepaliveMs < atMs) {
      yield numbered({ atMs: quietSinceMs + script.keepaliveMs, type: 'keepalive', fields: {} });
    }
  }
  for (const step of reachedSteps(script)) {
    if (step.atMs > cutMs) break;
    yield* keepalivesUntil(step.atMs);
    yield numbered(step);
  }
  const isStuck = script.startMs === Number.POSITIVE_INFINITY;
  if (cutMs === Number.POSITIVE_INFINITY && !isStuck) return;
  if (isStuck || script.ending.status !== 'stalled') yield* keepalivesUntil(cutMs);
  const response = responseObject(script, cancelledPhase(script, cutMs));
  yield numbered({ atMs: cutMs, type: 'response.failed', fields: { response } });
}

/**
 * statusAt returns only the status after `elapsedMs`. It is cheaper than `phaseAt`, because it builds no
 * output.
 */
export function statusAt(script: Script, elapsedMs: number, cancelledAtMs: number | undefined): Status {
  const { ending } = script;
  if (elapsedMs >= cancelsAt(script, cancelledAtMs)) return 'cancelled';
  if (elapsedMs >= script.endMs && ending.status !== 'stalled') return ending.status;
  if (cancelledAtMs !== undefined) return 'cancelled';
  return elapsedMs >= script.startMs ? 'in_progress' : 'queued';
}

/** phaseAt returns what a GET shows after `elapsedMs`. */
export function phaseAt(script: Script, elapsedMs: number, cancelledAtMs: number | undefined): Phase {
  const { ending } = script;
  const status = statusAt(script, elapsedMs, cancelledAtMs);
  if (status === 'queued' || status === 'in_progress') return { status };
  if (status === ending.status) return { status: 'ended', ending, output: finalOutputOf(script) };
  return cancelledPhase(script, cancelledAtMs ?? elapsedMs);
}

/**
 * Returns the time at which a cancel ends the events, in milliseconds since the response's creation.
 * Infinity: no cancel ends them. A response that completes in spite of its cancel keeps all its events.
 */
function cancelsAt(script: Script, cancelledAtMs: number | undefined): number {
  return script.completesAfterCancel ? Number.POSITIVE_INFINITY : (cancelledAtMs ?? Number.POSITIVE_INFINITY);
}

function* reachedSteps(script: Script): Generator<Step> {
  const limit = script.ending.status === 'stalled' ? script.ending.events : Number.POSITIVE_INFINITY;
  let count = 0;
  for (const step of steps(script)) {
    if (count === limit) return;
    count += 1;
    yield step;
  }
}

/** A cancelled response keeps what it has sent: the items that have begun, with their text so far. */
function cancelledPhase(script: Script, cancelledAtMs: number): Phase {
  const texts = new Map<number, { text: string; done: boolean }>();
  for (const { atMs, type, fields } of reachedSteps(script)) {
    if (atMs > cancelledAtMs) break;
    if (!('output_index' in fields) || typeof fields.output_index !== 'number') continue;
    const item = texts.get(fields.output_index) ?? { text: '', done: false };
    if ('delta' in fields) item.text += String(fields.delta);
    if (type === 'response.output_item.done') item.done = true;
    texts.set(fields.output_index, item);
  }
  const output = script.items.flatMap((item, index) => {
    const written = texts.get(index);
    if (!written) return [];
    return [itemWithText(item, written.text, written.done ? 'completed' : 'in_progress')];
  });
  return { status: 'cancelled', output };
}
