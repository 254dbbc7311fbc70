import { type JobEvent, standingOf } from '../job/event.ts';
import type { JobView } from '../job/view.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import type { LiveJob } from './live-job.ts';
import type { ReplayEvent } from './replay.ts';

/**
 * WatchEvent is what a watcher sees, in order. `end` is the last one. A watch may also stop without it: the
 * job was deleted, or this process stops.
 */
export type WatchEvent =
  | { kind: 'status'; view: JobView }
  /** `number`: the position of `entry` in the replay, from 1. */
  | { kind: 'replay'; number: number; entry: ReplayEvent }
  | { kind: 'end'; number: number; view: JobView; response: UpstreamResponse | undefined };

/**
 * watch follows a job from the beginning, or from where an earlier watch stopped.
 * @param after - the number of the last entry that was seen; 0 for none.
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
    let shown: string | undefined;
    for (let next = after; !signal.aborted; ) {
      // Taken before the look, so that no change in between is missed.
      const change = job.changed();
      const { view, end, events } = job;
      if (view !== undefined && end === undefined && standingOf(view) !== shown) {
        shown = standingOf(view);
        yield { kind: 'status', view };
      }
      for (; next < events.length && !signal.aborted; next += 1) {
        const entry = events[next];
        if (entry !== undefined) yield { kind: 'replay', number: next + 1, entry };
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

/** jobEvents turns what a watcher sees into the events of `GET /jobs/:id/events`. */
export async function* jobEvents(seen: AsyncGenerator<WatchEvent>): AsyncGenerator<JobEvent> {
  for await (const each of seen) {
    switch (each.kind) {
      case 'status':
        yield { type: 'status', data: each.view };
        break;
      case 'replay': {
        const event = jobEventFrom(each.entry, each.number);
        if (event !== undefined) yield event;
        break;
      }
      case 'end':
        yield { type: 'done', number: each.number, data: each.view };
        break;
      default: {
        const never: never = each;
        throw new Error(`unexpected ${JSON.stringify(never)}`);
      }
    }
  }
}

/**
 * @param number - the position of the entry in the replay, from 1.
 * @returns undefined for an event without text.
 */
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
