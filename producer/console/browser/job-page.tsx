import { batch, signal } from '@preact/signals';
import { hydrate } from 'preact';
import { useEffect } from 'preact/hooks';
import type { JobEvent } from '../../../src/job/event.ts';
import { afterEvent, type JobState, stateOf } from '../job-state.ts';
import { JobFacts, LiveJob, titleOf } from '../live-job.tsx';
import { BASE_PATH } from './base-path.ts';
import { showLocalTimes } from './local-times.ts';

const SECOND_MS = 1000;
const EVENTS = ['status', 'delta', 'reasoning', 'attempt', 'done'] as const;

/** A job's page has its state in an element, and the path of its events. */
const first = JSON.parse(document.getElementById('state')?.textContent ?? '') as JobState;

const state = signal(first);
const note = signal<string | undefined>(undefined);
/** When the view of the job came, and the time now, both on the clock of the page. */
const seenAt = signal(performance.now());
const now = signal(performance.now());

/** live makes a part of the page that is rendered again after each event. */
function live(Part: typeof LiveJob) {
  return () => {
    useEffect(showLocalTimes);
    return <Part state={state.value} note={note.value} ageMs={now.value - seenAt.value} />;
  };
}

/**
 * watch follows the events of the job. A hidden page closes its connection. When the page is shown again, it
 * reads the events from the beginning, because an EventSource cannot say where to go on.
 */
function watch(): void {
  let source: EventSource | undefined;
  const open = (): void => {
    source = new EventSource(`${BASE_PATH}/jobs/${encodeURIComponent(first.job.id)}/events`);
    let isFresh = true;
    source.addEventListener('open', () => {
      note.value = undefined;
    });
    source.addEventListener('error', () => {
      note.value = 'the connection is lost; trying again';
    });
    for (const type of EVENTS) {
      source.addEventListener(type, ({ data }: MessageEvent<string>) => {
        const event = { type, data: JSON.parse(data) } as JobEvent;
        batch(() => {
          state.value = afterEvent(isFresh ? stateOf(state.value.job) : state.value, event);
          isFresh = false;
          if (type === 'status') seenAt.value = now.value = performance.now();
        });
        document.title = `${titleOf(state.value.job)} · o3-queue`;
        // The server shows the end: the whole answer as Markdown, and what can be done now.
        if (type === 'done') location.reload();
      });
    }
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) source?.close();
    else if (source?.readyState === EventSource.CLOSED) open();
  });
  open();
}

if (!('finished_at' in first.job)) {
  for (const [id, Part] of [
    ['live', live(LiveJob)],
    ['facts', live(JobFacts)],
  ] as const) {
    const place = document.getElementById(id);
    if (place !== null) hydrate(<Part />, place);
  }
  watch();
  setInterval(() => {
    if (!document.hidden) now.value = performance.now();
  }, SECOND_MS);
}
