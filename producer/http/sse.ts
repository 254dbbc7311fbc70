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
