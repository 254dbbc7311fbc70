import type { WatchEvent } from '../../../src/events/watch.ts';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import type { JobView } from '../../../src/job/view.ts';
import { notFound } from '../../../src/job-store/find.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { ResponseEvent } from '../../../src/responses/event.ts';
import { isEmptyFrame } from '../../../src/responses/output-item-fields.ts';
import type { SharedTexts } from '../../http/sse.ts';
import { throughOutages } from '../retry-through-outage.ts';
import { isBackground, responseObject, unansweredObject } from './response-object.ts';

/** Asked is the part of a job that is known when its stream begins. Everything else comes from the events. */
export type Asked = Pick<JobDetail, 'job' | 'request'>;

export interface ResponseStreamOptions {
  /** `sequence_number` of the last event that the caller has; -1: none. */
  startingAfter: number;
  /** Used to read why the job failed. */
  queue: TenantQueue;
  /** Aborts when the client has disconnected. */
  signal: AbortSignal;
  /** Texts that this stream shares with other streams of the same route. */
  texts: SharedTexts;
  /** Called before the last event of a complete answer is sent, and not before an `attempt_failed`. */
  onEnd?: () => void;
}

/**
 * responseEvents writes a job as a stream of the Responses API. A stream contains the answer of only one
 * attempt, because OpenAI's SDKs join all deltas of a stream.
 *
 * When an attempt fails after part of its answer was sent, the stream ends with an `error` event,
 * `attempt_failed`. When it fails before that, the stream continues with the next attempt, and nothing of the
 * failed one is sent. Items without content are therefore held back until their first text. A new reader
 * starts with the latest attempt.
 *
 * An event has the same number each time the stream is read, and no two events share a number. The numbers of
 * an attempt come after those of earlier attempts and their `error` events. A reader that continues after an
 * event of a failed attempt gets the rest of that attempt, and then its `error` event. A reader that
 * continues after the `error` event gets the next attempt.
 *
 * @throws when there is no last event to send: a reader would take a stream that just ends for a complete
 * one.
 */
export async function* responseEvents(
  asked: Asked,
  seen: AsyncIterable<WatchEvent>,
  { startingAfter, queue, signal, texts, onEnd }: ResponseStreamOptions,
): AsyncGenerator<string> {
  let number = 0;
  const background = isBackground(asked.request);
  /** @param source the object from which `fieldsOf` makes the fields. All readers of the job share it. */
  function* event(type: string, source: object, fieldsOf = (): object => source): Generator<string> {
    if (number > startingAfter) {
      const message = () => ({ event: type, data: { type, sequence_number: number, ...fieldsOf() } });
      yield texts.message(source, number, message);
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

  /** Events of the current attempt that are held back; undefined once part of its answer was sent. */
  let held: ResponseEvent[] | undefined = [];
  /** Whether the current attempt is left out, because it was over before this reader came. */
  let isSkipped = false;
  function* release(): Generator<string> {
    for (const each of held ?? []) yield* event(each.type, each);
    held = undefined;
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
        const { entry, isSuperseded } = each;
        if (entry.kind === 'event') {
          if (held !== undefined && isEmptyFrame(entry.event)) {
            held.push(entry.event);
            break;
          }
          if (held !== undefined) isSkipped = isSuperseded && startingAfter < number;
          if (isSkipped) {
            number += (held?.length ?? 0) + 1;
            held = undefined;
            break;
          }
          yield* release();
          yield* event(entry.event.type, entry.event);
          break;
        }
        if (held === undefined) {
          // The `error` event takes a number even when it is not sent.
          const isSent = !isSkipped && number > startingAfter;
          if (isSent) yield* event('error', attemptFailed(asked, entry.reason));
          else number += 1;
          if (isSent) return;
        }
        held = [];
        isSkipped = false;
        break;
      }
      case 'end': {
        // The start is sent even for a job that was cancelled before its start was seen, so that the stream
        // always has the same number of events.
        yield* start();
        yield* release();
        const { view, response } = each;
        const type = endingOf(view, response?.status);
        const ended =
          response === undefined
            ? await throughOutages(() => queue.inspect(view.id), signal)
            : { ...asked, job: view, refusal: undefined, response: { ...response } };
        onEnd?.();
        yield* event(type, response ?? ended, () => ({ response: responseObject(ended) }));
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
 * attemptFailed returns its fields twice: at the top, as OpenAI documents an `error` event, and under
 * `error`, without which OpenAI's SDK for Node (6.49) does not throw.
 */
function attemptFailed({ job }: Asked, reason: string): object {
  const id = responseIdOf(job.id);
  const error = {
    code: 'attempt_failed',
    message:
      `An attempt at response ${id} failed after a part of its answer had been sent: ${reason}. The response ` +
      'goes on with another attempt. To read it from its beginning, send the same request again, or ' +
      `get /v1/responses/${id}?stream=true`,
    param: null,
    response_id: id,
  };
  return { ...error, error: { type: 'server_error', ...error } };
}

/**
 * OpenAI has no event for a cancelled response:
 * https://platform.openai.com/docs/api-reference/responses-streaming
 */
function endingOf(view: JobView, status: string | undefined): string {
  if (view.status !== 'completed') return 'response.failed';
  return status === 'incomplete' ? 'response.incomplete' : 'response.completed';
}
