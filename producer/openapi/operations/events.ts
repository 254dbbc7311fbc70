import { z } from 'zod';
import type { EventsToken } from '../../../src/job/event.ts';
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

export const eventsQuery = z.strictObject({
  token: z
    .string()
    .max(2000)
    .optional()
    .describe(
      'In place of a key: the token of `POST /jobs/{id}/events/token`, for callers that send no headers.',
    ),
});

const eventsToken: z.ZodType<EventsToken> = z.object({
  token: z.string().nullable().describe('It is part of `events_url`; null: this instance needs no keys.'),
  expires_at: z.iso
    .datetime()
    .nullable()
    .describe('When the token stops opening streams. An open stream goes on.'),
  events_url: z.url().describe('The address for `new EventSource(…)`.'),
});

export const createEventsToken: Operation = {
  id: 'createEventsToken',
  tag: 'jobs',
  summary: 'Get an address of the events for a browser',
  description:
    'A browser’s EventSource can send no key. The token in this address opens the events of this one job for ten ' +
    'minutes, to read only. Every producer with the same keys knows it, and it ends with the key that asked for it.',
  answers: {
    200: {
      description: 'The address, with its token',
      content: {
        schema: eventsToken,
        examples: {
          token: {
            token: 'eyJhbGciOiJIUzI1NiIsImtpZCI6ImFsaWNlIn0.eyJhdWQiOiIvIn0.c2lnbmF0dXJl',
            expires_at: '2026-11-29T10:10:00.000Z',
            events_url:
              'https://queue.example.com/jobs/job_01a226c497ab72feb91543b4e692e009/events?token=eyJhbGciOiJIUzI1NiJ9',
          },
        },
      },
    },
  },
  problems: ['job_not_found', 'redis_unavailable'],
};

export const watchJob: Operation = {
  id: 'watchJob',
  tag: 'jobs',
  summary: 'Watch a job',
  description:
    'Server-sent events, from the beginning or after `Last-Event-ID`: `status` (the job), `delta` and ' +
    '`reasoning` (`{text, attempt}`), `attempt` (`{attempt, reason}`: the text of earlier attempts no ' +
    'longer counts), and `done` (the job) at the end. The deltas of the last attempt add up to the ' +
    'answer.',
  query: eventsQuery,
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
