import type { WatchEvent } from '../../../src/events/watch.ts';
import type { JobView } from '../../../src/job/view.ts';
import { notFound } from '../../../src/job-store/find.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import { sseMessage } from '../../http/sse.ts';
import { throughOutages } from '../retry-through-outage.ts';
import { isBackground, responseObject, unansweredObject } from './response-object.ts';

/** Asked is the part of a job with which its stream begins; the rest comes from the events. */
export type Asked = Pick<JobDetail, 'job' | 'request'>;

export interface ResponseStreamOptions {
  /** `sequence_number` of the last event that the caller has; -1: none. */
  startingAfter: number;
  /** Called to learn why the job failed. */
  queue: TenantQueue;
  /** Aborts when the client has disconnected. */
  signal: AbortSignal;
}

/**
 * responseEvents writes a job as a stream of the Responses API. An event has the same number each time that
 * the stream is read. When a response is lost, its items stay in the stream and end as incomplete. The items
 * of the next response follow. The last event holds only the final answer.
 *
 * @throws when there is no last event to send: a reader would take a stream that just ends for a complete
 * one.
 */
export async function* responseEvents(
  asked: Asked,
  seen: AsyncIterable<WatchEvent>,
  { startingAfter, queue, signal }: ResponseStreamOptions,
): AsyncGenerator<string> {
  let number = 0;
  const background = isBackground(asked.request);
  function* event(type: string, fields: object): Generator<string> {
    if (number > startingAfter) {
      yield sseMessage({ event: type, data: { type, sequence_number: number, ...fields } });
    }
    number += 1;
  }
  const inProgress = { response: unansweredObject(asked, 'in_progress') };
  const opening = background ? { response: unansweredObject(asked, 'queued') } : inProgress;
  let isStarted = false;
  function* start(): Generator<string> {
    if (isStarted) return;
    isStarted = true;
    yield* event('response.in_progress', inProgress);
  }

  yield* event('response.created', opening);
  if (background) yield* event('response.queued', opening);
  for await (const each of seen) {
    switch (each.kind) {
      case 'status':
        if (each.view.status === 'active') yield* start();
        break;
      case 'replay': {
        yield* start();
        if (each.entry.kind === 'event') yield* event(each.entry.event.type, each.entry.event);
        break;
      }
      case 'end': {
        // Sent even for a job that was cancelled before its start was seen, so that every reading has the
        // same number of events.
        yield* start();
        const { view, response } = each;
        const ended =
          response === undefined
            ? await throughOutages(() => queue.inspect(view.id), signal)
            : { ...asked, job: view, refusal: undefined, response: { ...response } };
        yield* event(endingOf(view, response?.status), { response: responseObject(ended) });
        return;
      }
      default: {
        const never: never = each;
        throw new Error(`unexpected ${JSON.stringify(never)}`);
      }
    }
  }
  signal.throwIfAborted();
  throw notFound(asked.job.id);
}

/**
 * OpenAI has no event for a cancelled response:
 * https://platform.openai.com/docs/api-reference/responses-streaming
 */
function endingOf(view: JobView, status: string | undefined): string {
  if (view.status !== 'completed') return 'response.failed';
  return status === 'incomplete' ? 'response.incomplete' : 'response.completed';
}
