import type { JobDetail } from '../../src/job-store/result.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import type { Operation } from '../openapi/operation.ts';

/**
 * Door is a route of OpenAI's that makes a job and answers with it. A door only translates: a body into a
 * body of the Responses API, and a job into an answer. Everything else is the same at each door: how a call
 * is held, which job it gets, and what a broken connection leaves.
 */
export interface Door {
  path: string;
  operation: Operation;
  /**
   * How long a call may take before the headers of its answer are sent, in milliseconds. After the headers, a
   * failure can no longer be an HTTP error.
   */
  headersMs: number;
  /**
   * How long after its end a failed job still answers the next call with the same request, in milliseconds;
   * 0: such a call gets a new job.
   */
  failureMs: number;
  /**
   * read understands the body of a call.
   * @throws {QueueError | OpenAiError} for a body that cannot be served.
   */
  read(body: Record<string, unknown>): Asking;
}

/** Asking is a call as its door understands it. */
export interface Asking {
  /** The body of the Responses API, from which the job is made. */
  body: Record<string, unknown>;
  isStreamed: boolean;
  /** Whether the call is held until the job has ended. A call that is not held is answered at once. */
  isHeld: boolean;
  /**
   * How long a stream sends no headers before the first word, in milliseconds, so that a refusal can be an
   * HTTP error; 0: it sends them at once.
   */
  firstWordMs: number;
  /**
   * refuse throws if the call must be answered with an HTTP error. It is called while no header is sent.
   * @throws {OpenAiError}
   */
  refuse(detail: JobDetail): void;
  /**
   * whole returns the body of the answer.
   * @throws {OpenAiError} if the job has no answer that a body can hold. The connection is then cut.
   */
  whole(detail: JobDetail): object;
  /** writer returns what writes the answer as a stream. */
  writer(asked: Asked): AnswerWriter;
}

/** Asked is the part of a job that is known when its stream begins. Everything else comes from the events. */
export type Asked = Pick<JobDetail, 'job' | 'request'>;

/** Told is one thing that the reader of a stream is told. Nothing follows `attempt_failed` and `end`. */
export type Told =
  /** The stream begins. The response is queued, if it is in the background. A worker has started the job. */
  | { kind: 'created' | 'queued' | 'in_progress' }
  | { kind: 'event'; event: ResponseEvent }
  /** The attempt whose events were told has failed. The job goes on with another one. */
  | { kind: 'attempt_failed'; reason: string }
  /** `source` is the same object for all readers of the job, as a rule. */
  | { kind: 'end'; ended: JobDetail; source: object };

/** AnswerWriter writes what is told in the form of a door. */
export interface AnswerWriter {
  /** isSilent is true for an event that tells the reader nothing. Such an event may be held back. */
  isSilent(event: ResponseEvent): boolean;
  /** @param number counts all things that are told, from 0, and is the same for all readers. */
  write(told: Told, number: number): Iterable<string>;
}
