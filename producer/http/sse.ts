import { stringifyExact } from '../../src/job/exact-json.ts';

export const SSE_TYPE = 'text/event-stream; charset=utf-8';
/** A comment, which every reader ignores. */
export const SSE_KEEP_ALIVE = ': keep-alive\n\n';

export interface SseMessage {
  event: string;
  data: unknown;
  id?: number | undefined;
}

/** sseMessage writes one server-sent event: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export function sseMessage({ event, data, id }: SseMessage): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${stringifyExact(data)}\n\n`;
}

/** SharedTexts keeps the texts of large messages that many readers get, so that each text is written once. */
export interface SharedTexts {
  /**
   * Returns the message as `sseMessage` writes it.
   * @param source the object from which the message is made. Its text is kept as long as this object.
   * @param number the number of the message, which is the same for all readers as a rule.
   */
  message(source: object, number: number, message: () => SseMessage): string;
}

/** Shorter texts take less time to write than to keep. In characters. */
const SHORTEST_KEPT = 2000;

export function createSharedTexts(): SharedTexts {
  const kept = new WeakMap<object, { number: number; text: string }>();
  return {
    message(source, number, message) {
      const known = kept.get(source);
      if (known?.number === number) return known.text;
      const text = sseMessage(message());
      if (text.length >= SHORTEST_KEPT) kept.set(source, { number, text });
      return text;
    },
  };
}
