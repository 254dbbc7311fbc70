import type { FormFault } from '../faults/faults.ts';
import { isTerminal, type TimedEvent } from '../response/timeline.ts';

type Event = TimedEvent['event'] & { readonly [field: string]: unknown };

/** StreamForm is how the events of one response are written. */
export type StreamForm = {
  readonly contentType: string;
  /** Returns an event as it is sent; '' for an event that this form leaves out. */
  write(event: TimedEvent['event']): string;
};

const OPENINGS = ['response.created', 'response.queued', 'response.in_progress'];
const PLACES = ['output_index', 'content_index', 'summary_index', 'item_id'];
/**
 * What proxies send between events: a comment without data, `null`, an event without data, and an event that
 * is cut in two.
 */
const NOISE = ': noise\n\ndata: null\n\nevent: ping\n\ndata: {"type": "response.outp\n\n';

/** streamFormOf returns OpenAI's own form, with the faults that were asked for. */
export function streamFormOf(faults: readonly FormFault[], obfuscated: boolean): StreamForm {
  const has = (fault: FormFault): boolean => faults.includes(fault);
  const isLeftOut = (event: Event): boolean =>
    (has('no_opening') && OPENINGS.includes(event.type)) ||
    (has('no_deltas') && event.type.endsWith('.delta')) ||
    (has('no_end') && isTerminal(event));
  const fieldsOf = (event: Event): object => {
    const { type, sequence_number, ...fields } = isTerminal(event) ? ended(event) : event;
    return {
      ...(!has('no_types') && { type }),
      ...(!has('no_numbers') && { sequence_number }),
      ...(has('no_indexes') ? without(fields, PLACES) : fields),
      ...(has('other_ids') && 'item_id' in event && { item_id: `item_of_event_${sequence_number}` }),
      ...(obfuscated && type.endsWith('.delta') && { obfuscation: obfuscation(sequence_number) }),
    };
  };
  const ended = (event: Event): Event => {
    const { response, ...rest } = event;
    const { output, usage } = response as Record<string, unknown>;
    if (has('end_bare')) return { ...rest, output, usage };
    if (has('end_in_progress'))
      return { ...event, response: { ...(response as object), status: 'in_progress' } };
    return event;
  };
  const messageOf = (event: Event): string => {
    if (isLeftOut(event)) return '';
    if (has('comments') && event.type === 'keepalive') return ': PROCESSING\n\n';
    const message = `event: ${event.type}\ndata: ${JSON.stringify(fieldsOf(event))}\n\n`;
    return message.repeat(has('twice') ? 2 : 1) + (has('noise') ? NOISE : '');
  };
  return {
    contentType: has('plain_text') ? 'text/plain; charset=utf-8' : 'text/event-stream; charset=utf-8',
    write: (event) => {
      const text = messageOf(event) + (has('done') && isTerminal(event) ? 'data: [DONE]\n\n' : '');
      return has('crlf') ? text.replaceAll('\n', '\r\n') : text;
    },
  };
}

function without(fields: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

const PADDING = 'q7Rk0vYwXb3TzLmN8dHc5GfJ2sPaUe9i';

/**
 * Padding that hides the length of a delta. It depends only on the event's number, so every replay is
 * identical.
 */
function obfuscation(sequence: number): string {
  const start = (sequence * 7) % 16;
  return PADDING.slice(start, start + 4 + ((sequence * 5) % 12));
}
