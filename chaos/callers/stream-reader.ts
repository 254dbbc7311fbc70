import { openSse, type SseAnswer, type SseMessage } from '../../test/support/http/sse-reader.ts';

/** One of the two ways to watch the same job. */
export interface Door {
  readonly name: string;
  /** Whether every number from the first one on is sent. */
  readonly isGapless: boolean;
  /** @param after the number of the last event that was heard; undefined: none yet. */
  open(producerUrl: string, after: number | undefined): Promise<SseAnswer>;
  hear(message: SseMessage): Heard;
}

/** What a message means to somebody who shows the answer. */
export interface Heard {
  /** undefined: it has no place in the order. */
  number: number | undefined;
  /** What it says, for comparing. */
  line: string;
  text: string;
  /** What was shown so far belongs to a response that was lost. */
  anew: boolean;
  isEnd: boolean;
}

/** `GET /jobs/:id/events`, as a browser's EventSource reads it. */
export function jobDoor(jobId: string): Door {
  return {
    name: '/jobs',
    isGapless: false,
    open: (producerUrl, after) =>
      openSse(
        `${producerUrl}/jobs/${jobId}/events`,
        after === undefined ? {} : { 'last-event-id': String(after) },
      ),
    hear({ event, data, id }) {
      const text = event === 'delta' ? textIn(data, 'text') : '';
      return {
        number: id === undefined ? undefined : Number(id),
        line: `${event} ${text}`,
        text,
        anew: event === 'attempt',
        isEnd: event === 'done',
      };
    },
  };
}

/** `GET /v1/responses/:id?stream=true`, as the OpenAI SDK reads it. */
export function openAiDoor(jobId: string): Door {
  const responseId = jobId.replace(/^job_/, 'resp_');
  return {
    name: '/v1',
    isGapless: true,
    open(producerUrl, after) {
      const url = new URL(`/v1/responses/${responseId}?stream=true`, producerUrl);
      if (after !== undefined) url.searchParams.set('starting_after', String(after));
      return openSse(url.href);
    },
    hear({ event, data }) {
      const text = event === 'response.output_text.delta' ? textIn(data, 'delta') : '';
      return {
        number: numberIn(data),
        line: `${event} ${text}`,
        text,
        anew: isAbandonedItem(event, data),
        isEnd: ['response.completed', 'response.incomplete', 'response.failed'].includes(event),
      };
    },
  };
}

/** What a lost response had begun stays in the stream, ended as incomplete. */
function isAbandonedItem(event: string, data: unknown): boolean {
  return event === 'response.output_item.done' && textIn(fieldOf(data, 'item'), 'status') === 'incomplete';
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
