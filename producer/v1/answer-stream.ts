import type { WatchEvent } from '../../src/events/watch.ts';
import { notFound } from '../../src/job-store/find.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import type { AnswerWriter, Asked, Told } from './door.ts';
import { isBackground } from './responses/response-object.ts';
import { throughOutages } from './retry-through-outage.ts';

export interface AnswerStreamOptions {
  /** The number of the last thing that the caller was told; -1: nothing. */
  startingAfter: number;
  /** Used to read why the job failed. */
  queue: TenantQueue;
  /** Aborts when the client has disconnected. */
  signal: AbortSignal;
  /** Called before the last part of a complete answer is sent, and not before an `attempt_failed`. */
  onEnd?: () => void;
}

/**
 * answerStream writes a job as a stream. A stream contains the answer of only one attempt, because OpenAI's
 * SDKs join all deltas of a stream.
 *
 * When an attempt fails after part of its answer was sent, the stream ends with `attempt_failed`. When it
 * fails before that, the stream continues with the next attempt, and nothing of the failed one is sent.
 * Silent events are therefore held back until the first event that tells something. A new reader starts with
 * the latest attempt.
 *
 * Each thing that is told has the same number each time the stream is read, and no two share a number. The
 * numbers of an attempt come after those of earlier attempts and their `attempt_failed`. A reader that
 * continues after an event of a failed attempt gets the rest of that attempt, and then its `attempt_failed`.
 * A reader that continues after `attempt_failed` gets the next attempt.
 *
 * @throws when there is no end to send: a reader would take a stream that just ends for a complete one.
 */
export async function* answerStream(
  writer: AnswerWriter,
  asked: Asked,
  seen: AsyncIterable<WatchEvent>,
  { startingAfter, queue, signal, onEnd }: AnswerStreamOptions,
): AsyncGenerator<string> {
  let number = 0;
  function* tell(told: Told): Generator<string> {
    if (number > startingAfter) yield* writer.write(told, number);
    number += 1;
  }
  let isStarted = false;
  function* start(): Generator<string> {
    if (isStarted) return;
    isStarted = true;
    yield* tell({ kind: 'in_progress' });
  }

  /** Events of the current attempt that are held back; undefined once part of its answer was sent. */
  let held: ResponseEvent[] | undefined = [];
  /** Whether the current attempt is left out, because it was over before this reader came. */
  let isSkipped = false;
  function* release(): Generator<string> {
    for (const event of held ?? []) yield* tell({ kind: 'event', event });
    held = undefined;
  }

  yield* tell({ kind: 'created' });
  if (isBackground(asked.request)) yield* tell({ kind: 'queued' });
  for await (const each of seen) {
    switch (each.kind) {
      case 'status':
        if (each.view.status === 'active') yield* start();
        break;
      case 'replay': {
        yield* start();
        const { entry, isSuperseded } = each;
        if (entry.kind === 'event') {
          if (held !== undefined && writer.isSilent(entry.event)) {
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
          yield* tell({ kind: 'event', event: entry.event });
          break;
        }
        if (held === undefined) {
          // The end of an attempt takes a number even when it is not sent.
          const isSent = !isSkipped && number > startingAfter;
          if (isSent) yield* tell({ kind: 'attempt_failed', reason: entry.reason });
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
        const ended =
          response === undefined
            ? await throughOutages(() => queue.inspect(view.id), signal)
            : { ...asked, job: view, refusal: undefined, response: { ...response } };
        onEnd?.();
        yield* tell({ kind: 'end', ended, source: response ?? ended });
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
