import { checkedInput } from '../../src/errors/input.ts';
import { jobEvents } from '../../src/events/watch.ts';
import type { EventsToken, JobEvent } from '../../src/job/event.ts';
import type { EventTokens } from '../access/event-tokens.ts';
import { createAnySignal } from '../http/any-signal.ts';
import type { Route } from '../http/route.ts';
import { SSE_KEEP_ALIVE, SSE_TYPE, sseMessage } from '../http/sse.ts';
import { createEventsToken, eventsHeaders, eventsQuery, watchJob } from '../openapi/operations/events.ts';
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
      checkedInput('query', query, eventsQuery);
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

/**
 * eventTokenRoute is `POST /jobs/:id/events/token`: an address of a job's events that a browser's EventSource
 * can open without a header.
 *
 * @param tokens undefined: this instance needs no keys, and the address has no token.
 */
export function eventTokenRoute(tokens: EventTokens | undefined): Route {
  return {
    method: 'post',
    path: '/jobs/:id/events/token',
    operation: createEventsToken,
    async handle({ queue, caller, params, query, ownUrl }) {
      checkedInput('query', query, noQuery);
      const { id } = await queue.get(params['id'] ?? '');
      const url = new URL(`${ownUrl}/jobs/${id}/events`);
      const signed = caller === undefined ? undefined : await tokens?.sign(caller, id);
      if (signed !== undefined) url.searchParams.set('token', signed.token);
      const body: EventsToken = {
        token: signed?.token ?? null,
        expires_at: signed?.expiresAt.toISOString() ?? null,
        events_url: url.href,
      };
      return { status: 200, headers: { 'cache-control': 'no-store' }, body };
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
