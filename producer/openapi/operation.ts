import { z } from 'zod';
import { ACKS } from '../../src/redis/ack/level.ts';
import type { HttpProblemCode } from '../http/http-problem.ts';

/** Content is a body in one media type. */
export interface Content {
  schema: z.ZodType;
  /** Default: `application/json`. */
  mediaType?: string;
  /** The media type of the same content as a stream of events; undefined: it is never streamed. */
  streamed?: string;
  /** Examples by name; a test checks each against the schema. */
  examples?: Readonly<Record<string, unknown>>;
}

/** ackHeader is the header of each answer that accepts jobs. */
export const ackHeader = z.object({
  'o3q-ack': z
    .enum(ACKS)
    .describe(
      'What Redis has done with the job by now, of what `O3Q_ACK` asks for: it has the job in `memory`, has ' +
        'flushed it to `disk`, or a `replica` has it too. `memory` is also what is known when the wait failed; ' +
        'the job is accepted all the same.',
    ),
});

/** Answer is what a route answers with one status when it does not refuse. */
export interface Answer {
  description: string;
  /** undefined: the answer has no body. */
  content?: Content;
  /** Headers that the answer always has. */
  headers?: z.ZodObject;
}

/**
 * Operation documents a route, except for its method and path. The OpenAPI document is made from operations,
 * and tests check every answer against the document: an undocumented answer fails a test.
 */
export interface Operation {
  /** The name of the call in generated clients; unique. */
  id: string;
  tag: 'jobs' | 'instance' | 'OpenAI' | 'agents';
  summary: string;
  description?: string;
  /** The schema that checks the query. Default: there are no parameters. */
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: Content;
  answers: Readonly<Record<number, Answer>>;
  /**
   * The form of refusals: problems (the default), OpenAI's envelope, or problems except for bad bodies, which
   * get an error of JSON-RPC that `answers` describes.
   */
  refusals?: 'problem' | 'envelope' | 'json-rpc';
  /** Whether refusals of the upstream are passed on with their status. Default false. */
  passesRefusalsOn?: boolean;
  /**
   * Codes of the route's own refusals. Refusals that follow from what it takes, such as a bad field, are
   * added.
   */
  problems?: readonly HttpProblemCode[];
}
