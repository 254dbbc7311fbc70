import type { z } from 'zod';
import type { HttpProblemCode } from '../http/problem.ts';

/** Something that goes over the wire, in one media type. */
export interface Content {
  schema: z.ZodType;
  /** Default: `application/json`. */
  mediaType?: string;
  /** It may come as a stream of events of this media type, too. */
  streamed?: string;
  /** By a short name; a test holds each against the schema. */
  examples?: Readonly<Record<string, unknown>>;
}

/** What comes with one status when all is well. */
export interface Answer {
  description: string;
  /** Absent: the answer has no body. */
  content?: Content;
  /** The headers that a caller may count on. */
  headers?: z.ZodObject;
}

/**
 * What the world is told of a route, all but its method and path. The document is made from these, and every
 * answer of the tests is held against the document: an answer that is not told of here fails a test.
 */
export interface Operation {
  /** Names it in generated clients; unique. */
  id: string;
  tag: 'jobs' | 'instance' | 'OpenAI';
  summary: string;
  description?: string;
  /** The schema that checks the query. Default: there are no parameters. */
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: Content;
  answers: Readonly<Record<number, Answer>>;
  /** How it refuses: in problems (the default), or in OpenAI's envelope. */
  refusals?: 'problem' | 'envelope';
  /** Refusals of the upstream come through, with whatever status it has. Default false. */
  passesRefusalsOn?: boolean;
  /** The refusals of its own. Those that many have (a bad field, no Redis, …) are added by what it takes. */
  problems?: readonly HttpProblemCode[];
}
