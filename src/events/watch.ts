import { type JobEvent, standingOf } from '../job/event.ts';
import type { JobView } from '../job/view.ts';
import type { UpstreamResponse } from '../responses/response.ts';
import type { LiveJob } from './live-job.ts';
import type { ReplayEvent } from './replay.ts';

/** What a watcher sees, in order. After `end` nothing comes; a watch may also end without it: the job is gone, or this process stops. */
export type WatchEvent =
  | { kind: 'status'; view: JobView }
  /** `number`: its place among all that is said, from 1. */
  | { kind: 'said'; number: number; said: ReplayEvent }
  | { kind: 'end'; number: number; view: JobView; response: UpstreamResponse | undefined };

/**
 * Watches a job from the beginning, or on from what somebody has seen before.
 * @param after the number of the last that was seen; 0: nothing yet.
 */
export async function* watch(
  open: () => LiveJob,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const feed = open();
  let wake: () => void = () => {};
  const aborted = (): void => wake();
  signal.addEventListener('abort', aborted, { once: true });
  try {
    let told: string | undefined;
    for (let next = after; !signal.aborted; ) {
      // Asked for before looking, so that nothing changes unseen in between.
      const change = feed.changed();
      const { view, end, said } = feed;
      if (view !== undefined && end === undefined && standingOf(view) !== told) {
        told = standingOf(view);
        yield { kind: 'status', view };
      }
      for (; next < said.length && !signal.aborted; next += 1) {
        const each = said[next];
        if (each !== undefined) yield { kind: 'said', number: next + 1, said: each };
      }
      if (end?.kind === 'finished' && next <= said.length) {
        yield { kind: 'end', number: said.length + 1, view: end.view, response: end.response };
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
    feed.leave();
  }
}

export async function* jobEvents(seen: AsyncGenerator<WatchEvent>): AsyncGenerator<JobEvent> {
  for await (const each of seen) {
    switch (each.kind) {
      case 'status':
        yield { type: 'status', data: each.view };
        break;
      case 'said': {
        const event = jobEventFrom(each.said, each.number);
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

/** @param number the place of what was said in the whole transcript, from 1. @returns undefined for what is no part of any text. */
function jobEventFrom(said: ReplayEvent, number: number): JobEvent | undefined {
  const { attempt } = said;
  if (said.kind === 'attempt') return { type: 'attempt', number, data: { attempt, reason: said.reason } };
  const { type, delta, summary_index } = said.event;
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
