import { type JobEvent, standingOf } from '../job/event.ts';
import type { JobView } from '../job/view.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import type { LiveJob } from './live-job.ts';
import type { ReplayEvent } from './replay.ts';

/**
 * WatchEvent is what a watcher gets about a job, in order. `number` counts replay events and the end from 1.
 * `isSuperseded` says that a later attempt had already begun. Nothing follows `end`. A watch may stop without
 * an `end`, because the job was deleted or this process stops.
 */
export type WatchEvent =
  | { kind: 'status'; view: JobView }
  | { kind: 'replay'; number: number; entry: ReplayEvent; isSuperseded: boolean }
  | { kind: 'end'; number: number; view: JobView; response: UpstreamResponse | undefined };

/**
 * watch follows a live job from the beginning, or from where a watcher was cut off.
 * @param after the number of the last event that the watcher has seen; 0: it has seen none.
 * @param signal ends the watch.
 */
export async function* watch(
  open: () => LiveJob,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const job = open();
  let wake: () => void = () => {};
  const aborted = (): void => wake();
  signal.addEventListener('abort', aborted, { once: true });
  try {
    let lastStanding: string | undefined;
    for (let next = after; !signal.aborted; ) {
      // The promise is taken before the state is read, so that no change in between is missed.
      const change = job.changed();
      const { view, end } = job;
      const { events } = job.replay;
      if (view !== undefined && end === undefined && standingOf(view) !== lastStanding) {
        lastStanding = standingOf(view);
        yield { kind: 'status', view };
      }
      // Until there is a view, the log has perhaps not been read to its end, and an earlier attempt could
      // look like the latest one.
      for (; view !== undefined && next < events.length && !signal.aborted; next += 1) {
        const entry = events[next];
        if (entry === undefined) break;
        yield { kind: 'replay', number: next + 1, entry, isSuperseded: next < job.replay.latestBegins };
      }
      if (end?.kind === 'finished' && next <= events.length) {
        yield { kind: 'end', number: events.length + 1, view: end.view, response: end.response };
      }
      if (end !== undefined) return;
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        void change.then(resolve);
      });
    }
  } finally {
    signal.removeEventListener('abort', aborted);
    job.leave();
  }
}

/**
 * jobEvents turns a watcher's events into the events that callers get: the text of the answer, without the
 * upstream's event types.
 */
export async function* jobEvents(watched: AsyncGenerator<WatchEvent>): AsyncGenerator<JobEvent> {
  for await (const event of watched) {
    switch (event.kind) {
      case 'status':
        yield { type: 'status', data: event.view };
        break;
      case 'replay': {
        const jobEvent = jobEventFrom(event.entry, event.number);
        if (jobEvent !== undefined) yield jobEvent;
        break;
      }
      case 'end':
        yield { type: 'done', number: event.number, data: event.view };
        break;
      default: {
        const never: never = event;
        throw new Error(`unexpected ${JSON.stringify(never)}`);
      }
    }
  }
}

/** @returns undefined for an event that adds nothing to a text. */
function jobEventFrom(entry: ReplayEvent, number: number): JobEvent | undefined {
  const { attempt } = entry;
  if (entry.kind === 'attempt') return { type: 'attempt', number, data: { attempt, reason: entry.reason } };
  const { type, delta, summary_index } = entry.event;
  switch (type) {
    case 'response.output_text.delta':
      return textEvent('delta', delta);
    case 'response.reasoning_summary_text.delta':
    case 'response.reasoning_text.delta':
      return textEvent('reasoning', delta);
    case 'response.reasoning_summary_part.added':
      return summary_index === 0 ? undefined : textEvent('reasoning', '\n\n');
    default:
      return undefined;
  }

  function textEvent(kind: 'delta' | 'reasoning', text: unknown): JobEvent | undefined {
    return typeof text === 'string' && text !== ''
      ? { type: kind, number, data: { text, attempt } }
      : undefined;
  }
}
