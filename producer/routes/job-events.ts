import { checkedInput } from '../../src/errors/input.ts';
import { jobEvents } from '../../src/events/watch.ts';
import type { JobEvent } from '../../src/job/event.ts';
import { createAnySignal } from '../http/any-signal.ts';
import type { Route } from '../http/route.ts';
import { SSE_KEEP_ALIVE, SSE_TYPE, sseMessage } from '../http/sse.ts';
import { eventsHeaders, watchJob } from '../openapi/operations/events.ts';
import { noQuery } from './job-queries.ts';

/**
 * jobEventsRoute is `GET /jobs/:id/events`: the events of a job, from the beginning or after the
 * `Last-Event-ID` that a browser sends when it reconnects.
 */
export function jobEventsRoute(draining: AbortSignal): Route {
  const orDraining = createAnySignal(draining);
  return {
    method: 'get',
    path: '/jobs/:id/events',
    operation: watchJob,
    async handle({ queue, params, query, headers, signal, openStream }) {
      checkedInput('query', query, noQuery);
      const after = Number(checkedInput('header', headers, eventsHeaders)['last-event-id']);
      openStream();
      const watching = orDraining(signal);
      const events = jobEvents(await queue.watch(params['id'] ?? '', { after, signal: watching }));
      const first = await events.next();
      // The caller has seen everything. Only 204 stops a browser's EventSource from reconnecting.
      if (first.done && !watching.aborted) return { status: 204 };
      return {
        status: 200,
        stream: { contentType: SSE_TYPE, keepAlive: SSE_KEEP_ALIVE, chunks: messages(first, events) },
      };
    },
  };
}

async function* messages(
  first: IteratorResult<JobEvent, void>,
  events: AsyncGenerator<JobEvent>,
): AsyncGenerator<string> {
  try {
    if (!first.done) yield messageFrom(first.value);
    for await (const event of events) yield messageFrom(event);
  } finally {
    await events.return(undefined);
  }
}

function messageFrom(event: JobEvent): string {
  const id = 'number' in event ? event.number : undefined;
  return sseMessage({ event: event.type, data: event.data, id });
}
