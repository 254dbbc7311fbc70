import { z } from 'zod';
import { noQuery } from '../../routes/job-queries.ts';
import type { Operation } from '../operation.ts';

export const eventsHeaders = z.object({
  'last-event-id': z
    .string()
    .regex(/^\d{0,15}$/, 'expected the id of an event of this stream')
    .default('')
    .describe(
      'The `id` of the last event that the caller has seen. A browser sends it by itself when it reconnects.',
    ),
});

export const watchJob: Operation = {
  id: 'watchJob',
  tag: 'jobs',
  summary: 'Watch a job',
  description:
    'Server-sent events, from the beginning or after `Last-Event-ID`: `status` (the job), `delta` and ' +
    '`reasoning` (`{text, attempt}`), `attempt` (`{attempt, reason}`: the text of earlier attempts no ' +
    'longer counts), and `done` (the job) at the end. The deltas of the last attempt add up to the ' +
    'answer.',
  query: noQuery,
  headers: eventsHeaders,
  answers: {
    200: {
      description: 'The events up to the job’s end',
      content: { schema: z.string(), mediaType: 'text/event-stream' },
    },
    204: {
      description: 'The caller has already seen every event. This status stops a browser from reconnecting',
    },
  },
  problems: ['job_not_found', 'too_many_streams', 'redis_unavailable'],
};
