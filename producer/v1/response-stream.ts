import type { WatchEvent } from '../../src/events/watch.ts';
import type { JobView } from '../../src/job/view.ts';
import { notFound } from '../../src/job-store/find.ts';
import type { JobDetail } from '../../src/job-store/result.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import { sseMessage } from '../http/sse.ts';
import { isBackground, responseObject, unansweredObject } from './response-object.ts';
import { throughOutages } from './retry-through-outage.ts';

/** What of a job its stream is made of; the rest comes with what is seen. */
export type Asked = Pick<JobDetail, 'job' | 'request'>;

export interface ResponseStreamOptions {
  /** The number of the last event that is not sent; -1: all are. */
  startingAfter: number;
  /** Knows why a job has failed. */
  queue: TenantQueue;
  /** Aborts when the client has gone. */
  signal: AbortSignal;
}

/**
 * A job as a stream of the Responses API: its number of each event is the same on every reading, live or years later.
 * An item that a lost response had begun stays in it, ended as incomplete; the answer is in the items after it, and alone in the last event.
 *
 * @throws when there is no last event to send: a stream that just ended would be taken for a whole one.
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
        // Also of one that was cancelled before anybody saw it start, so that no reading has another number of events.
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

/** There is no event for a cancelled response: https://platform.openai.com/docs/api-reference/responses-streaming */
function endingOf(view: JobView, status: string | undefined): string {
  if (view.status !== 'completed') return 'response.failed';
  return status === 'incomplete' ? 'response.incomplete' : 'response.completed';
}
