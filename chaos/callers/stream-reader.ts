import { openSse, type SseAnswer, type SseMessage } from '../../test/support/http/sse-reader.ts';

/** StreamRoute is one of the two routes that stream a job's answer. */
export interface StreamRoute {
  readonly name: string;
  /**
   * Whether a stream of this route has the events of one attempt only, with numbers without a gap. Otherwise
   * it has the events of all attempts, with gaps between the numbers.
   */
  readonly isOneAttempt: boolean;
  /** @param after the number of the last event that was read; undefined: none. */
  open(producerUrl: string, after: number | undefined): Promise<SseAnswer>;
  read(message: SseMessage): StreamItem;
}

/** StreamItem is what a message means to a caller who shows the answer. */
export interface StreamItem {
  /** The number of the message in the stream; undefined: it has none. */
  number: number | undefined;
  /** The content of the message, for comparing; undefined: it is no part of the answer. */
  line: string | undefined;
  text: string;
  /** Whether the text so far belongs to a response that was lost. */
  restarts: boolean;
  isEnd: boolean;
}

/** jobEventsRoute reads `GET /jobs/:id/events` as a browser's EventSource does. */
export function jobEventsRoute(jobId: string): StreamRoute {
  return {
    name: '/jobs',
    isOneAttempt: false,
    open: (producerUrl, after) =>
      openSse(
        `${producerUrl}/jobs/${jobId}/events`,
        after === undefined ? {} : { 'last-event-id': String(after) },
      ),
    read({ event, data, id }) {
      const text = event === 'delta' ? textIn(data, 'text') : '';
      return {
        number: id === undefined ? undefined : Number(id),
        line: `${event} ${text}`,
        text,
        restarts: event === 'attempt',
        isEnd: event === 'done',
      };
    },
  };
}

const NO_PART_OF_ANSWER: ReadonlySet<string> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'error',
]);

/** responsesRoute reads `GET /v1/responses/:id?stream=true` as the OpenAI SDK does. */
export function responsesRoute(jobId: string): StreamRoute {
  const responseId = jobId.replace(/^job_/, 'resp_');
  return {
    name: '/v1',
    isOneAttempt: true,
    open(producerUrl, after) {
      const url = new URL(`/v1/responses/${responseId}?stream=true`, producerUrl);
      if (after !== undefined) url.searchParams.set('starting_after', String(after));
      return openSse(url.href);
    },
    read({ event, data }) {
      const text = event === 'response.output_text.delta' ? textIn(data, 'delta') : '';
      return {
        number: numberIn(data),
        line: NO_PART_OF_ANSWER.has(event) ? undefined : `${event} ${text}`,
        text,
        restarts: event === 'error',
        isEnd: ['response.completed', 'response.incomplete', 'response.failed'].includes(event),
      };
    },
  };
}

function textIn(data: unknown, field: string): string {
  const value = fieldOf(data, field);
  return typeof value === 'string' ? value : '';
}

function numberIn(data: unknown): number {
  const value = fieldOf(data, 'sequence_number');
  return typeof value === 'number' ? value : Number.NaN;
}

function fieldOf(data: unknown, field: string): unknown {
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>)[field] : undefined;
}
